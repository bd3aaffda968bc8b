"""The in-memory AWS of the functions' tests, whose tables are those of today's templates."""

from tests.lambdas.conftest import aws_client, aws_identity, cloud

__all__ = ["aws_client", "aws_identity", "cloud"]
