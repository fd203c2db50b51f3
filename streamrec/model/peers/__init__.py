"""Other people's models, learned at the same moments, to be compared with.

sasrec.py           SASRec: self-attention over item IDs, the sequential baseline (Kang &
                    McAuley 2018)
sasrec_learner.py   SASRec as an online baseline: learns and ranks at the same moments as our
                    own learner
"""
