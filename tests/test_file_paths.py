"""Where files are written and read: names, leftovers, devices and pipes."""

import os
import stat

import pytest

from hostile import SMALL, X
from sklearn_cpc import CPCTransformer, ModelFileError, _persistence


def test_only_files_are_written_and_read(tmp_path):
    fitted = CPCTransformer(max_epochs=0, **SMALL).fit(X)
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    (tmp_path / "link").symlink_to(pipe)
    for path in (pipe, tmp_path / "link", "/dev/null"):
        with pytest.raises(FileExistsError, match="A device, a pipe or a socket"):
            fitted.save(path)
        with pytest.raises(ModelFileError, match="is a device, a pipe or a socket"):
            CPCTransformer.load(path)  # nobody writes: it would wait
    assert stat.S_ISFIFO(pipe.stat().st_mode)
    assert stat.S_ISCHR(os.stat("/dev/null").st_mode)
    with pytest.raises(TypeError, match="int"):
        CPCTransformer.load(0)


@pytest.mark.parametrize("length", [1, 200, 250, 255])
def test_names_of_any_length(length, tmp_path):
    fitted = CPCTransformer(max_epochs=0, **SMALL).fit(X)
    path = tmp_path / ("m" * length)
    fitted.save(path)
    assert os.listdir(tmp_path) == [path.name]
    with pytest.raises(OSError, match="File name too long"):
        fitted.save(tmp_path / ("m" * 256))


@pytest.mark.parametrize("name", ["model", "m" * 250])
def test_leftovers_are_removed_and_files_being_written_are_not(
    name, tmp_path, monkeypatch
):
    path = tmp_path / name
    with monkeypatch.context() as patch:
        patch.setattr(_persistence.os, "unlink", lambda path: None)
        patch.setattr(_persistence.os, "fsync", stopped)
        with pytest.raises(KeyboardInterrupt):
            _persistence.write_file(path, b"1")
    assert len(os.listdir(tmp_path)) == 1  # as after a kill
    with _persistence._temporary(path) as other:
        _persistence.write_file(path, b"2")
        assert len(os.listdir(tmp_path)) == 2
        os.replace(other.name, path)
    assert os.listdir(tmp_path) == [name]


def stopped(*args):
    raise KeyboardInterrupt


def test_a_folder_that_cannot_be_read_reports_no_failure(tmp_path, monkeypatch):
    real = os.open

    def refuse(path, *args, **kwargs):
        if os.path.isdir(path):
            raise PermissionError(13, "Permission denied", str(path))
        return real(path, *args, **kwargs)

    monkeypatch.setattr(_persistence.os, "open", refuse)
    monkeypatch.setattr(_persistence.os, "listdir", refuse)
    _persistence.write_file(tmp_path / "model", b"1")
    assert (tmp_path / "model").read_bytes() == b"1"
