"""AWS Bedrock's runtime: Converse, ConverseStream, InvokeModel and its stream; `protocol.py` says which part reads what."""
