"""The making of the bundled weights, as far as it can be tested in milliseconds; with PyTorch where it is installed."""

import hashlib
import io
import json
import tarfile

import numpy as np
import pytest
from PIL import Image
from tensorboard.compat.proto import graph_pb2, types_pb2

from retrain.errors import NumericalError, RetrainError, UsageError, WeightsError
from scripts import distill_backbone
from scripts.distillation import crops, export, photographs, recipe, shards, slim
from scripts.distillation.checkpoints import Log, write_checkpoint
from scripts.distillation.processes import run_in_processes

CROPS = recipe.CropRecipe(size=64, views=3, seed=0, held_out_every=3)


def photo(seed, size=(96, 80)):
    low = np.random.default_rng(seed).integers(0, 256, (6, 5, 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(low).resize(size, Image.Resampling.BICUBIC).save(file, "PNG")
    return file.getvalue()


@pytest.fixture
def folder(tmp_path):
    path = tmp_path / "photos"
    for number in range(12):
        (path / f"kind{number % 2}").mkdir(parents=True, exist_ok=True)
        (path / f"kind{number % 2}" / f"{number}.png").write_bytes(photo(number))
    return path


# --- photographs


def test_a_folder_and_a_tar_of_it_give_the_same_list(folder, tmp_path):
    archive = tmp_path / "photos.tar"
    with tarfile.open(archive, "w") as tar:
        for path in sorted(folder.rglob("*.png"), reverse=True):
            tar.add(path, path.relative_to(folder).as_posix())
    listed = [photographs.list_photographs([source], np.zeros(0, np.uint64), 3)[0] for source in (folder, archive)]
    assert listed[0] == listed[1]
    assert len(listed[0]) == 12
    held_out = [one for one in listed[0] if one.held_out]
    assert 0 < len(held_out) < 12
    one = listed[0][5]
    for source in (folder, archive):
        with photographs.Reader([source]) as reader:
            assert reader.read(one) == (folder / one.member).read_bytes()


def test_exact_copies_and_damaged_files_are_counted_and_left_out(folder):
    (folder / "copy.png").write_bytes(photo(0))
    (folder / "torn.png").write_bytes(photo(50)[:200])
    (folder / "small.png").write_bytes(photo(51, (20, 20)))
    listed, left_out = photographs.list_photographs([folder], np.zeros(0, np.uint64), 3)
    assert len(listed) == 12
    assert left_out == {"exact copy": 1, "damaged": 1, "shape": 1}


def test_near_copies_of_what_is_kept_out_are_not_learnt_from(folder, tmp_path):
    measured = tmp_path / "measured"
    measured.mkdir()
    with Image.open(io.BytesIO(photo(4))) as image:
        image.resize((200, 150)).transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(measured / "mirrored.jpg", quality=60)
    listed, left_out = photographs.list_photographs([folder], photographs.hashes_to_keep_out([measured]), 3)
    assert left_out == {"near-copy of a photograph to keep out": 1}
    assert all(not one.member.endswith("/4.png") for one in listed)


def test_the_list_is_made_once(folder, tmp_path):
    path = tmp_path / "photographs.json"
    first = photographs.saved_list(path, [folder], [], 3)
    (folder / "late.png").write_bytes(photo(99))
    assert photographs.saved_list(path, [folder], [], 3) == first


def test_no_photographs_is_an_error_that_says_why(tmp_path):
    (tmp_path / "torn.png").write_bytes(photo(1)[:100])
    with pytest.raises(UsageError, match="damaged"):
        photographs.saved_list(tmp_path / "list.json", [tmp_path], [], 3)


# --- crops


def test_views_depend_on_the_photograph_and_the_seed_alone():
    data = photo(7)
    digest = hashlib.sha256(data).hexdigest()
    first = crops.cut_views(data, digest, CROPS)
    assert first.shape == (3, 64, 64, 3)
    assert first.dtype == np.uint8
    assert np.array_equal(first, crops.cut_views(data, digest, CROPS))
    other = recipe.CropRecipe(size=64, views=3, seed=1, held_out_every=3)
    assert not np.array_equal(first[1:], crops.cut_views(data, digest, other)[1:])
    more = recipe.CropRecipe(size=64, views=5, seed=0, held_out_every=3)
    assert np.array_equal(first, crops.cut_views(data, digest, more)[:3])


def test_the_first_view_is_the_whole_photograph():
    data = photo(3)
    with Image.open(io.BytesIO(data)) as image:
        whole = np.asarray(image.resize((64, 64), Image.Resampling.BILINEAR))
    view = crops.cut_views(data, hashlib.sha256(data).hexdigest(), CROPS)[0]
    assert np.array_equal(view, whole) or np.array_equal(view, whole[:, ::-1])


def test_boxes_stay_inside_and_show_the_share_asked_for():
    image, random = Image.new("RGB", (120, 70)), np.random.default_rng(0)
    for low, high in crops.AREAS:
        for _ in range(50):
            left, top, right, bottom = crops._random_box(image, low, high, random)
            assert 0 <= left < right <= 120 + 1e-9
            assert 0 <= top < bottom <= 70 + 1e-9
            share = (right - left) * (bottom - top) / (120 * 70)
            assert low - 1e-9 <= share <= high + 1e-9 or share == 1


def test_a_stopped_run_writes_only_the_shards_that_are_missing(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(crops, "PHOTOGRAPHS_A_SHARD", 5)
    listed, _ = photographs.list_photographs([folder], np.zeros(0, np.uint64), 10**9)
    place = crops.crop_shards(tmp_path, len(listed), CROPS)
    assert place.missing() == [0, 1, 2]
    crops.write_crops([0, 2], [folder], listed, place, CROPS)
    assert place.missing() == [1]
    place.path(2).write_bytes(b"torn")
    assert place.missing() == [1, 2]
    crops.write_crops(place.missing(), [folder], listed, place, CROPS)
    items = shards.Items(place)
    assert len(items) == 12 * 3
    wanted = crops.cut_views((folder / listed[11].member).read_bytes(), listed[11].digest, CROPS)
    assert np.array_equal(items.take(np.array([35, 33])), wanted[[2, 0]])


def test_what_the_disk_should_not_hold_is_refused_before_it_is_begun(tmp_path):
    with pytest.raises(UsageError, match=r"--max_gb allows 1 .*fewer --views"):
        shards.check_room(2_000_000_000, tmp_path, 1.0)


# --- the teacher's graph


def slim_graph(path, without=""):
    graph = graph_pb2.GraphDef()
    random = np.random.default_rng(0)
    channels = 3
    for number, name in enumerate(slim.layer_names()):
        width = channels if name.endswith("depthwise") else number % 3 + 2
        kernel = "depthwise_weights" if name.endswith("depthwise") else "weights"
        shape = (3, 3, width, 1) if name.endswith("depthwise") else (3 if number == 0 else 1,) * 2 + (channels, width)
        constant(graph, f"MobilenetV1/{name}/{kernel}", random.random(shape, np.float32))
        for part in ("gamma", "beta", "moving_mean", "moving_variance"):
            constant(graph, f"MobilenetV1/{name}/BatchNorm/{part}", random.random(width, np.float32))
        channels = width
    constant(graph, "MobilenetV1/Logits/Conv2d_1c_1x1/weights", random.random((1, 1, channels, 7), np.float32))
    constant(graph, "MobilenetV1/Logits/Conv2d_1c_1x1/biases", random.random(7, np.float32))
    constant(graph, "elsewhere/weights", np.zeros(3, np.float32))
    kept = [node for node in graph.node if node.name != without]
    path.write_bytes(graph_pb2.GraphDef(node=kept).SerializeToString())
    return {node.name: node for node in graph.node}


def constant(graph, name, array):
    node = graph.node.add(name=name, op="Const")
    node.attr["value"].tensor.dtype = types_pb2.DT_FLOAT
    for size in array.shape:
        node.attr["value"].tensor.tensor_shape.dim.add(size=size)
    node.attr["value"].tensor.tensor_content = array.astype("<f4").tobytes()


def test_slim_variables_come_in_keras_order(tmp_path):
    slim_graph(tmp_path / "graph.pb")
    variables = slim.read_slim_variables(tmp_path / "graph.pb")
    assert "elsewhere/weights" not in variables
    arrays = slim.keras_arrays(variables)
    assert len(arrays) == 135
    assert np.array_equal(arrays[0], variables["MobilenetV1/Conv2d_0/weights"])
    assert np.array_equal(arrays[5], variables["MobilenetV1/Conv2d_1_depthwise/depthwise_weights"])
    assert np.array_equal(arrays[134], variables["MobilenetV1/Conv2d_13_pointwise/BatchNorm/moving_variance"])
    kernel, bias = slim.classifier_arrays(variables)
    assert kernel.shape == (arrays[130].shape[-1], 7)
    assert bias.shape == (7,)


def test_a_constant_stored_as_one_value_is_spread(tmp_path):
    graph = graph_pb2.GraphDef()
    node = graph.node.add(name="MobilenetV1/Conv2d_0/BatchNorm/gamma", op="Const")
    node.attr["value"].tensor.dtype = types_pb2.DT_FLOAT
    node.attr["value"].tensor.tensor_shape.dim.add(size=4)
    node.attr["value"].tensor.float_val.append(1.5)
    (tmp_path / "graph.pb").write_bytes(graph.SerializeToString())
    assert slim.read_slim_variables(tmp_path / "graph.pb")[node.name].tolist() == [1.5] * 4


def test_a_graph_without_a_variable_names_it(tmp_path):
    slim_graph(tmp_path / "graph.pb", without="MobilenetV1/Conv2d_7_pointwise/BatchNorm/beta")
    with pytest.raises(WeightsError, match="Conv2d_7_pointwise/BatchNorm/beta"):
        slim.keras_arrays(slim.read_slim_variables(tmp_path / "graph.pb"))


@pytest.mark.parametrize(("contents", "match"), [(b"\xff not a graph", "cannot be read"), (b"", "has no constants")])
def test_what_is_no_such_graph_is_refused(tmp_path, contents, match):
    (tmp_path / "graph.pb").write_bytes(contents)
    with pytest.raises(WeightsError, match=match):
        slim.read_slim_variables(tmp_path / "graph.pb")


# --- export


def some_arrays(layers=3):
    random = np.random.default_rng(0)
    return [
        random.random((1, 1, 4, 4) if part == 0 else 4, np.float32) + 0.1 for _ in range(layers) for part in range(5)
    ]


def test_packed_weights_keep_order_and_are_float16(tmp_path):
    arrays = some_arrays()
    (tmp_path / "w.npz").write_bytes(export.pack(arrays))
    with np.load(tmp_path / "w.npz", allow_pickle=False) as archive:
        assert sorted(archive.files) == [f"{number:03d}" for number in range(15)]
        assert {archive[name].dtype for name in archive.files} == {np.dtype(np.float16)}
    for read, array in zip(export.unpack(tmp_path / "w.npz"), arrays, strict=True):
        assert np.allclose(read, array, rtol=1e-3)
    assert export.pack(arrays) == export.pack(arrays)


@pytest.mark.parametrize(("place", "value", "match"), [(2, np.nan, "002"), (0, 1e5, "000"), (4, 1e-6, "variance")])
def test_numbers_that_float16_cannot_hold_are_refused(place, value, match):
    arrays = some_arrays()
    arrays[place].flat[0] = value
    with pytest.raises(NumericalError, match=match):
        export.pack(arrays)


def test_raised_variances_leave_the_network_as_it_is():
    arrays = some_arrays()
    arrays[4][1] = 1e-7
    settled = export.settle_variances(arrays)
    export.pack(settled)
    before, after = (a[1] / np.sqrt(a[4] + 1e-3) for a in (arrays, settled))
    assert np.allclose(before, after, rtol=1e-6)
    assert np.array_equal(settled[6], arrays[6])


def test_weights_and_head_are_written_together(tmp_path):
    path = export.write_weights(tmp_path, "small", some_arrays(), (np.ones((4, 7)), np.zeros(7)))
    assert path.name == "small.npz"
    with np.load(tmp_path / "head1001.npz", allow_pickle=False) as archive:
        assert (archive["kernel"].shape, archive["bias"].shape) == ((4, 7), (7,))


# --- checkpoints, log, recipes, command line


def test_a_checkpoint_that_fails_half_way_leaves_the_old_one(tmp_path):
    path = tmp_path / "checkpoint.pt"
    write_checkpoint(path, lambda file: file.write(b"old"))

    def torn(file):
        file.write(b"ne")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_checkpoint(path, torn)
    assert path.read_bytes() == b"old"
    assert [one.name for one in tmp_path.iterdir()] == ["checkpoint.pt"]


def test_a_torn_last_line_of_the_log_is_dropped(tmp_path):
    log = Log(tmp_path / "log.jsonl")
    log.say(step=1, loss=0.123456789)
    with (tmp_path / "log.jsonl").open("a") as file:
        file.write('{"step": 2, "lo')
    assert log.lines() == [{"step": 1, "loss": 0.123457}]


def test_a_folder_begun_with_another_recipe_is_refused_with_every_difference(tmp_path):
    path = tmp_path / "crops.json"
    recipe.remember(CROPS, path)
    recipe.remember(CROPS, path)
    with pytest.raises(UsageError, match=r"size 64, not 96(.|\n)*views 3, not 4"):
        recipe.remember(recipe.CropRecipe(size=96, views=4, seed=0, held_out_every=3), path)
    assert json.loads(path.read_text())["size"] == 64


def test_all_problems_of_the_command_line_are_listed_before_anything_is_written(tmp_path, capsys):
    words = ["--teacher", "no.pb", "--photographs", "nowhere", "--out", str(tmp_path / "out"), "--views", "0"]
    assert distill_backbone.main([*words, "--size", "100", "--until", "crops"]) == 2
    said = capsys.readouterr().err
    assert all(part in said for part in ("no.pb", "nowhere", "--size", "--views"))
    assert not (tmp_path / "out").exists()


def test_without_pytorch_the_way_to_get_it_is_named(tmp_path, capsys, monkeypatch, folder):
    monkeypatch.setattr(distill_backbone.importlib.util, "find_spec", lambda name: None)
    slim_graph(tmp_path / "graph.pb")
    words = ["--teacher", str(tmp_path / "graph.pb"), "--photographs", str(folder), "--out", str(tmp_path / "out")]
    assert distill_backbone.main(words) == 2
    assert "pip install torch" in capsys.readouterr().err


def test_every_flag_has_help_and_reaches_a_recipe():
    actions = {action.dest: action for action in distill_backbone.parser()._actions}
    assert all(action.help for action in actions.values())
    fields = {*recipe.CropRecipe.__dataclass_fields__, *recipe.TrainingRecipe.__dataclass_fields__}
    assert fields | set(recipe.Workshop.__dataclass_fields__) <= set(actions)


def test_who_fails_takes_the_others_along():
    # Their own functions would do as well; exec is one that a fresh interpreter can import.
    with pytest.raises(RetrainError, match="ended with 3"):
        run_in_processes(exec, [("import time; time.sleep(60)",), ("raise SystemExit(3)",)])


# --- with PyTorch


def layers_of(seed):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    from scripts.distillation.network import Layer, layer_strides

    random, channels, layers = torch.Generator().manual_seed(seed), 3, []
    for number, stride in enumerate(layer_strides()):
        out = channels if number % 2 else max(2, number // 4)
        shape = (out, 1, 3, 3) if number % 2 else (out, channels, *((3, 3) if number == 0 else (1, 1)))
        vectors = [torch.rand(out, generator=random) + 0.5 for _ in range(4)]
        layers.append(Layer.of([torch.randn(shape, generator=random), *vectors], stride))
        channels = out
    return layers


def student(seed=0, width=8):
    layers = layers_of(seed)
    import torch

    from scripts.distillation.student import Student

    random = torch.Generator().manual_seed(seed)
    kernel = torch.randn(layers[-1].gamma.shape[0], width, generator=random)
    return Student(layers, kernel, torch.randn(width, generator=random))


@pytest.fixture
def trainer(tmp_path, monkeypatch):
    """Make trainers of a folder with a tiny teacher, random crops and random feature maps."""
    teacher_layers = layers_of(5)
    import torch

    from scripts.distillation import labels, training

    width = int(teacher_layers[-1].gamma.shape[0])
    random = np.random.default_rng(0)
    teacher = labels.Teacher(teacher_layers, torch.from_numpy(random.random((width, 7), np.float32)), torch.zeros(7))
    monkeypatch.setattr(training, "read_teacher", lambda path: teacher)
    monkeypatch.setattr(labels, "TEACHER_WIDTH", width)
    values = {"alpha": 0.5, "steps": 6, "batch": 4, "processes": 1, "peak_rate": 1e-2, "final_rate": 1e-4, "seed": 0}
    weights = {"map_weight": 1.0, "pooled_weight": 1.0, "logits_weight": 0.5, "temperature": 2.0, "weight_decay": 0.01}
    plan = recipe.TrainingRecipe(**values, **weights, warmup_steps=2, still_layers=1, averaging=0.9)

    def make(name):
        out = tmp_path / name
        paths = {"out": out, "teacher": out, "photographs": (), "keep_out": (), "start": None}
        shop = recipe.Workshop(**paths, processes=1, start_crops=1, log_every=2, save_every=3, evaluate_every=3)
        if not out.exists():
            place = crops.crop_shards(out, 4, CROPS)
            filler = np.random.default_rng(1)
            for one in (place, labels.map_shards(out, place)):
                one.write(0, filler.integers(0, 256, (one.items, *one.item), np.uint8))
            np.save(out / "held_out.npy", filler.integers(0, 256, (5, 64, 64, 3), np.uint8))
            write_checkpoint(out / "start.pt", lambda file: torch.save(student(1, width).state(), file))
        return training.Trainer(shop, CROPS, plan, 4, 0)

    return make


def test_a_stopped_run_goes_on_to_the_same_bits(trainer, tmp_path):
    whole = trainer("whole")
    whole.run()
    stopped = trainer("stopped")
    for _ in range(4):
        stopped.take_step()
        stopped._keep()
    again = trainer("stopped")
    assert again.step == 3
    again.run()
    for mine, other in ((whole.student, again.student), (whole.average, again.average)):
        assert all(bool((a == b).all()) for a, b in zip(mine.parameters(), other.parameters(), strict=True))
    assert (tmp_path / "whole" / "student.pt").read_bytes() == (tmp_path / "stopped" / "student.pt").read_bytes()


def test_training_learns_and_leaves_still_layers_alone(trainer):
    made = trainer("out")
    before = [tensor.clone() for tensor in made.student.layers[0].tensors()]
    first = made.take_step()
    made.run()
    assert all(bool((a == b).all()) for a, b in zip(before, made.student.layers[0].tensors(), strict=True))
    assert float(made.take_step()[0]) < float(first[0])
    last = made.log.lines()[-1]
    assert {"unexplained", "divergence", "same_first", "first_in_five"} <= set(last)


def test_keras_order_there_and_back_and_checkpoint_there_and_back():
    made = student()
    import torch

    from scripts.distillation.network import from_keras, to_keras
    from scripts.distillation.student import student_from

    back = student_from(made.state())
    for mine, other, third in zip(made.layers, from_keras(to_keras(made.layers)), back.layers, strict=True):
        assert mine.stride == other.stride == third.stride
        for a, b, c in zip(mine.tensors(), other.tensors(), third.tensors(), strict=True):
            assert torch.equal(a, b)
            assert torch.equal(a, c)


def test_the_fast_gradient_is_the_plain_one():
    made = student()
    import torch
    from torch.nn import functional

    from scripts.distillation.network import convolve, turned

    images = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (2, 8, 8, 3), np.uint8))
    x = turned(images, torch.float32).requires_grad_(True)
    weight = torch.randn(3, 1, 3, 3, generator=torch.Generator().manual_seed(1), requires_grad=True)
    fast = torch.autograd.grad(convolve(x, weight, None, 2).square().sum(), (x, weight))
    # Not turned, padded at the bottom and on the right as TensorFlow pads.
    plain_x = x.flip(2, 3)
    plain = functional.conv2d(functional.pad(plain_x, (0, 1, 0, 1)), weight, None, 2, groups=3)
    slow = torch.autograd.grad(plain.square().sum(), (x, weight))
    for a, b in zip(fast, slow, strict=True):
        assert torch.allclose(a, b, atol=1e-4)
    assert len(made.layers) == 27


def test_an_epoch_takes_every_crop_once_and_the_next_one_in_another_order():
    pytest.importorskip("torch", reason="PyTorch is not installed")
    from scripts.distillation.training import crops_of_step, learning_rate

    names = recipe.TrainingRecipe.__dataclass_fields__
    plan = recipe.TrainingRecipe(**{**dict.fromkeys(names, 1.0), "batch": 3, "processes": 2, "seed": 0, "steps": 100})
    epochs = [
        [int(n) for step in range(first, first + 5) for rank in (0, 1) for n in crops_of_step(plan, 30, step, rank)]
        for first in (0, 5)
    ]
    assert sorted(epochs[0]) == sorted(epochs[1]) == list(range(30))
    assert epochs[0] != epochs[1]
    assert learning_rate(plan, 0) == pytest.approx(1.0)
