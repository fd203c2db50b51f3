"""What is told to tools that people watch with: curves, a run for each generation, traces.

trackers.py             those that settings ask for, told in the background
tensorboard_curves.py   curves as TensorBoard event files
run_record.py           what of a generation is said: parameters, numbers, tags
mlflow_runs.py          a run for each generation in MLflow
wandb_runs.py           the same in Weights & Biases
tracing.py              the tracer that settings ask for
spans.py                spans by OpenTelemetry's SDK, sent by OTLP
"""
