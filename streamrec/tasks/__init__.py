"""What the loop can learn: each task is a folder, none imports another.

ranking/   (to be said)
"""
