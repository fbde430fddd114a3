"""How the bundled weights are made: a small MobileNet V1 learns to give what Google's MobileNet V1 1.0_224 gives.

The map, in the order in which the data flows (README.md says how to run it):

    recipe        what a run is asked to do, and what must not change when it resumes
    slim          the teacher: a frozen graph's slim variables, as arrays in Keras' order
    photographs   folders and tars -> the list of photographs to learn from, near-copies of others kept out
    crops         photographs -> views, uint8, in shards
    shards        the files in which crops and feature maps lie
    processes     the same function in several processes; who dies takes the others along
    network       MobileNet V1 as a list of layers; a fast forward pass in bfloat16
    selection     which of the teacher's channels the student keeps
    start         the student's first weights, by least squares
    labels        the teacher's feature maps of all crops
    student       the student with its projection, as it is trained and as it lies on the disk
    loss          how far the student's feature map is from the teacher's
    training      one cosine over a fixed number of steps, resumable
    evaluation    statistics of batch normalisation; agreement with the teacher on held-out photographs
    checkpoints   files that are there whole or not at all
    export        .npz files for the package, checked against Keras

From network on, PyTorch is imported; what stands above does without.
"""
