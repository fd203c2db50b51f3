"""What the evidence took out of the loop, still reachable.

early_stopping.py   early stopping in a stream: fresh examples are the validation set, until they
                    are learned
regularisers.py     against overfitting: what a training step sees instead of the plain text
"""
