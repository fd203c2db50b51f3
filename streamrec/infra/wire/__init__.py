"""Bytes and Kafka: how values are encoded and how clients connect.

codec.py             topic values to wire bytes and back: Avro, in its framings, and JSON
values.py            topic values to plain dicts and back, with every check a producer's input
                     must pass
checks.py            checks of one field of a producer's input, with messages that say what was
                     expected
limits.py            how much one item or request may ask of everybody else
schema_registry.py   a small read-only client of a Confluent-compatible schema registry
schema_wait.py       waiting for a schema registry, for so long and no longer, and without holding
                     up anybody else
foreign_schema.py    Avro schemas of strangers, from a schema registry, before anything is read
                     with them
kafka.py             kafka-python clients, configured from our settings
kafka_codecs.py      what reads a compressed message here: producers and brokers choose the
                     compression, we do not
kafka_connect.py     a repair of kafka-python 3.0.12: a client that cannot connect must leave
                     nothing behind
kafka_diagnosis.py   why Kafka does not let us in, in a sentence a person can act on
kafka_joins.py       a repair of kafka-python 3.0.12: a join that outlives one ``poll`` must be
                     finished
kafka_offsets.py     where logs begin and end, and where groups stand in them
kafka_pace.py        a pause between questions that a broker answers at once with nothing
kafka_probe.py       whether something speaks Kafka at an address, and who sits in a consumer
                     group
kafka_rights.py      what Kafka does not allow us, in a sentence that names who, what and where to
                     look
kafka_security.py    who we are to Kafka, and whom we trust: TLS and SASL from our settings
kafka_tokens.py      OAUTHBEARER: tokens of a token endpoint, or of a callable of the operator's,
                     kept while valid
kafka_topics.py      our topics on a broker: which there are, and making those that are not
topic_flaws.py       what a topic's own settings will do to us, seen before it happens
broker_watch.py      whether the brokers that this process has found are still the cluster's
async_publisher.py   messages to Kafka from an event loop: each acknowledged at its place, or
                     refused in time
lazy_consumer.py     a consumer that is made at first use, and made anew once it is in doubt
follower.py          topics followed from now on: every message decoded, with its Kafka
                     coordinates
batches.py           mini-batches on the wire: an envelope that is the same for every task, and
                     its examples
envelopes.py         envelopes around a row: Kafka Connect's ``schema``/``payload``, Debezium's
                     ``before``/``after``
json_text.py         JSON as it is found: behind blanks, a byte order mark, or in UTF-16
protobuf.py          protobuf from a schema registry: text to a message class, a message to plain
                     fields
strangers.py         what strangers write, keys and values, whatever the encoding: plain fields,
                     or a refusal
output.py            recommendations as whoever reads them wants them: JSON, or Avro behind a
                     schema registry's id
"""
