"""Language models that run in a process of somebody else's.

openai_server.py    replies by an OpenAI-compatible server that loads adapters while it runs
reply_pattern.py    a grammar as the regular expression that such servers take
"""
