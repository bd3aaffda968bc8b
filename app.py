"""The CDK app: what is deployed, in the order in which it depends on each other."""

import aws_cdk as cdk
from cdk_nag import AwsSolutionsChecks, ServerlessChecks

from stacks.application import build_application

app = cdk.App()
build_application(app)
cdk.Validations.of(app).add_plugins(AwsSolutionsChecks(app), ServerlessChecks(app))
app.synth()
