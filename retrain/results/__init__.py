"""What a run found out, put where a person looks: report.html, TensorBoard, a few lines.

discovering.py asks for suspects, the threshold of the unknown and sets of labels before the model is saved, since they
go into it; facts.py is the report's record of it all, board.py what TensorBoard shows, heating.py makes heat maps of
mistakes, history.py tells how a whole network was trained; showing.py writes it all, and earlier.py says what changed
since the model that was there.
"""

from retrain.results.discovering import Discovery, discover
from retrain.results.earlier import Earlier
from retrain.results.showing import lay_out, show

__all__ = ["Discovery", "Earlier", "discover", "lay_out", "show"]
