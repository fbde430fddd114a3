"""The studio: the run folder in a browser. See the mistakes, correct a label, and the head is trained again at once.

Nothing here computes what the rooms above it compute: a page shows what a run found, and a correction goes the way of a
run, from the folder to the head, with every vector out of the cache. The way of a request:

    serving.py      binds, serves and ends; patience.py says how long a connection may dawdle
    guard.py        who may ask: Host, Origin, token; what a page may load; how large a request may be
    app.py          which address is answered by what; pages/ and static/ are what a browser gets
    answers.py      JSON, and errors as answers; forms.py reads photographs out of forms
    queueing.py     how many are served at a time, and how many wait
    api.py          what scripts use, as openapi.py describes it
    data_routes.py  the Data page: editing.py changes the folder, listing.py lists it, pictures.py shows it, looking.py
                    has the doctor look
    model_routes.py Train, Review, Try and Use: review.py what to look at again, confirming.py which doubts were
                    answered, using.py what to take along,
                    choices.py what can be chosen, models.py the model on the disk, addressed.py a photograph that
                    is named by its address
    desk.py         what all of them share
    workshop.py     what the studio knows: folder, run, head; one job at a time changes it
    settling.py     what the run decided, so that its head is trained again in the same way
    refitting.py    a head trained on what the folder is now, its numbers, and what flipped; recognising.py knows
                    photographs that were moved by their content
    training.py     a whole run, or further formats, in a process that child.py is; telling.py says how far a stage is
    events.py       tells open pages what changed
"""
