"""SageMaker on the laptop: its API, states, names, limits and errors, with the image's own entry points as processes.

`api.call` is the one way in, for the HTTP handler, Step Functions and CloudFormation alike.
"""
