"""The way in for readings: decode, plan, commit in groups, answer after the commit.

Runs beside Django inside the same process, but needs none of it: `app.IngestApp` is an ASGI
application of its own. What happens to a request, in order:

    app         HTTP: method, credential, limits, body, answer
    dialects    our own form, InfluxDB's, ThingsBoard's: what is asked and how it is answered
    body        bytes: size limits, gzip
    decoding    JSON to readings
    columnar    the same in columns
    lineprotocol  InfluxDB's lines to readings
    salvaging   the same item by item, when something is wrong; says what, in words
    splitting   where items begin and end, however broken they are
    credentials which device a token belongs to, known to be valid within 4 s
    rates       readings a second, counted for all processes together
    clocks      how far a device's clock is off
    interning   keys, keysets and words to numbers
    planning    readings to columns
    writer      bounded queue, one connection, one commit for all that has arrived
    storing     what one commit does in the database
    carefully   the same where something may be there already
    refusing    the counts of what was refused, in the same transaction
    merging     what a repeated or changed reading means
    publishing  tells the live pages
    notes       written down a little later: clock offsets, refused requests
    attributes  what a device says of itself besides readings
"""
