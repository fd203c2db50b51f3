"""The edges: Kafka, Redis, files and processes, each behind a port.

wire/        bytes, schemas and Kafka clients
feeds/       consumers, one for each kind of worker
files/       files that somebody else wrote, as rows for a topic
stores/      what is kept in Redis, in files and on the control log
metrics/     what a process says of itself to monitoring
processes/   workers and servers of this host
http/        HTTP, apart from what is said over it
inference/   language models that run in a process of somebody else's
tracking/    what is told to tools that people watch with
clock.py     the system's clock, the only place that reads it
"""
