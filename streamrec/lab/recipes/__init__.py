"""What the evidence took out of the loop, still reachable: ``streamrec train --recipe NAME``.

One file each, with the number beside it; ``streamrec train --recipe list`` prints them. Numbers
are of docs/learning/ (2026-11-24): one seed, second half of 10,000 events (of the head: 20,000).

adafactor.py           another optimiser of the adapter: Adafactor (Shazeer & Stern 2018), at a
                       rate of 2e-3
adalora.py             another adapter method: adalora, low-rank in the form of a singular value
                       decomposition (Zhang et al. 2023). A stream has no end to plan the ranks
                       by, so none is given up
adapter_averaging.py   an ensemble in one: an encoder is published as the mean of the last three
                       (Izmailov et al. 2018)
early_stopping.py      early stopping in a stream: every 16 steps the head goes back if it ranks
                       no better
fgm.py                 adversarial perturbation of the embeddings: the fast gradient method
hidden_tokens.py       augmentation: a step sees each text with 15 % of its tokens left out, at
                       random
ia3.py                 another adapter method: ia3, one factor for each key, value and hidden unit
                       (Liu et al. 2022)
last_layers.py         another adapter method: full fine-tuning of the last layers, and of nothing
                       below them
names.py               the recipes by name: which of them a person asked for, and what each was
                       measured to be worth
prefix.py              another adapter method: prefix tuning, keys and values before every text
                       (Li & Liang 2021)
proximal.py            A pull of the head to the served weights, 1e-3 times the squared distance
                       to them
proximal_kl.py         A pull of the head to the served order, 0.1 times KL(served ‖ trained) of
                       the candidates
rate_cycles.py         the head's rate falls to a tenth over 256 steps and starts again
                       (Loshchilov & Hutter 2017)
sgd.py                 another optimiser of the adapter: SGD with momentum 0.9, at a rate of 2e-2
shuffled_text.py       augmentation: half of the texts begin with the categories, not the title,
                       in a step
"""
