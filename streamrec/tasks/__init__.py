"""What the loop can learn: each task is a folder, none imports another.

ranking/   which items a user is shown, in which order
copy/      which words an item is shown with
replies/   which words answer a request
"""
