"""The composition root: which real part stands behind which port.

One module per process, so that each loads only what it needs:

clients.py          what operators' commands and several processes share
process.py          what every worker does before it works
model.py            the model that learns, and what seals its generations
rights.py           what each role does in Kafka, and whether Kafka lets us
features.py         the feature worker
trainer.py          the trainer
copy_trainer.py     that of the task copy
replies_trainer.py  that of the task replies
alarm.py            in its process: the alarm on the population
champion_gauges.py  in its process: how far the champion is behind, and who changes the registry
live.py             in its process: what watches released generations
serving.py          the serving worker
local_loop.py       all of them on this host, with servers of their own (`up`, `demo`)
reproduce.py        a generation made again
undo.py             what an undo needs to know
status.py           one look at a running loop from outside
status_fields.py    the same as JSON fields
why.py              everything that is known of one answer
users.py            what is held about a person, and having it forgotten
trust.py            keys, from the files that the settings name
releases.py         generations, looked at and changed for an operator: at a terminal, or with an
                    admin key
release_fields.py   generations, control records and confirmations as JSON
dead_letter_fields.py  dead letters as JSON
access.py           API keys of this installation: where they are kept, for whom they are made
dead_letters.py     dead letters, put together for the command line. Loads neither torch nor faust
monitoring.py       what monitoring asks of a process: its metrics and its health
worker_context.py   what every part of a worker's process is made with: who we are, connections,
                    the word to stop
built_in.py         the tasks that this version carries, by name. Another one is one more line
                    here
ranking.py          the task ranking, put together: what each process that carries it is given
copy_task.py        the task copy, put together: which words an item is shown with
replies_task.py     the task replies, put together: what is said about a list
replies.py          the replies worker: a serving worker of that task
reviews.py          replies looked at and decided on by a person
reply_report.py     whether groups of people and items are served alike, from what is kept
conversation.py     a conversation over the topics: asked, listed, answered in words
identities.py       whose the state at each place is: compared before anything is changed, and
                    told to a place that does not know (``core.identity``)
state.py            state and logs that no longer fit together: found, and continued past what is
                    lost
layouts.py          the layout of users' state as processes go by it, and what notices that it no
                    longer fits
migration.py        users' state moved to where a larger number of partitions puts them
gateway/            the gateway: the loop over HTTP
answer_fields.py    a recommendation as JSON fields, for whoever shows one
copy.py             tests of wordings for the command line: what runs, how it stands, and ending
                    one

The workers' modules each have ``run(settings, worker_id)``: it works until SIGTERM or
SIGINT, then finishes what it holds and returns. ``streamrec worker <role>`` and
``workers/<role>.py`` call it.
"""
