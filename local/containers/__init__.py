"""Processes that stand for what AWS keeps in containers, SageMaker's and Lambda's: forked from one that has imported what is
slow, or started as interpreters of their own."""
