"""Programs with wheels run on nothing but the files of their image (the oracle of decisions/0010).

The wheels are those of the development environment; whatever is not installed is skipped.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from textwrap import dedent

import pytest

from tests.unit.build.conftest import Build, Run

PROGRAMS = {
    "numpy": """
        import numpy
        a = numpy.random.default_rng(1).random((50, 50))
        assert numpy.allclose(numpy.linalg.inv(a) @ a, numpy.eye(50))
        print(str(numpy.array([1.5, 2])), numpy.fft.fft(a).dtype)
        """,
    "pydantic": """
        import datetime, decimal
        from pydantic import AnyUrl, BaseModel, TypeAdapter, ValidationError
        class Model(BaseModel):
            a: int
            d: datetime.datetime
            u: AnyUrl
            x: decimal.Decimal = decimal.Decimal("1.1")
        m = Model(a="1", d="2020-01-01T00:00:00Z", u="http://x.y/")
        m.model_dump_json(), Model.model_json_schema(), TypeAdapter(list[int]).validate_json("[1]")
        try:
            Model(a="z")
        except ValidationError as error:
            str(error)
        """,
    "cryptography": """
        from cryptography.fernet import Fernet
        from cryptography.hazmat.primitives import hashes
        from cryptography.hazmat.primitives.asymmetric import ec
        key = Fernet.generate_key()
        assert Fernet(key).decrypt(Fernet(key).encrypt(b"a")) == b"a"
        private = ec.generate_private_key(ec.SECP256R1())
        signature = private.sign(b"x", ec.ECDSA(hashes.SHA256()))
        private.public_key().verify(signature, b"x", ec.ECDSA(hashes.SHA256()))
        """,
    "orjson": """
        import dataclasses, datetime, uuid, orjson
        @dataclasses.dataclass
        class A:
            x: int = 1
        value = orjson.dumps({"a": A(), "d": datetime.datetime(2020, 1, 1), "u": uuid.UUID(int=1)})
        assert orjson.loads(value)["a"] == {"x": 1}
        """,
    "PIL": """
        import io
        from PIL import Image, ImageDraw, ImageFilter
        picture = Image.new("RGB", (40, 40), "red")
        ImageDraw.Draw(picture).text((1, 1), "A")
        for form in ("PNG", "JPEG", "GIF", "WEBP", "TIFF", "BMP"):
            file = io.BytesIO()
            picture.save(file, form)
            Image.open(io.BytesIO(file.getvalue())).load()
        picture.filter(ImageFilter.BLUR).resize((3, 3))
        """,
    "regex": """
        import regex
        assert regex.findall(r"\\p{Lu}+", "aBC") == ["BC"]
        """,
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_program_with_a_wheel_runs_alone(build_image: Build, run_files: Run, tmp_path: Path, name: str) -> None:
    if importlib.util.find_spec(name) is None:
        pytest.skip(f"{name} is not installed here")
    script = tmp_path / "program.py"
    script.write_text(dedent(PROGRAMS[name]) + "\nprint('done')\n")
    result = build_image(script)
    done = run_files(result.image)
    assert done.stdout.splitlines()[-1:] == ["done"], done.stderr
    assert not {"setuptools", "pytest"} & result.closure.modules.keys(), "what builds or tests a package is not used"


def test_much_of_the_standard_library_runs_alone(build_image: Build, run_files: Run, tmp_path: Path) -> None:
    script = tmp_path / "program.py"
    script.write_text(
        dedent(
            """
            import asyncio, concurrent.futures, csv, ctypes, dataclasses, datetime, decimal, hashlib, json, logging
            import importlib.resources, pickle, random, re, secrets, sqlite3, statistics, subprocess, tempfile
            import threading, time, unittest, urllib.parse, uuid, xml.etree.ElementTree as ET, email.message, zlib
            assert datetime.datetime.strptime("2020", "%Y").year == time.strptime("2020", "%Y").tm_year
            assert pickle.loads(pickle.dumps(decimal.Decimal(1))) == 1
            assert ET.fromstring("<a><b/></a>").find("b") is not None
            hashlib.sha256(b"").hexdigest(), hashlib.blake2b(), uuid.uuid4(), uuid.uuid5(uuid.NAMESPACE_DNS, "a")
            with concurrent.futures.ThreadPoolExecutor() as pool:
                assert list(pool.map(abs, [-1])) == [1]
            connection = sqlite3.connect(":memory:")
            list(connection.iterdump())
            try:
                json.loads("{")
            except json.JSONDecodeError:
                logging.exception("expected")
            assert "\\u20ac".encode("cp1252") == b"\\x80"
            tempfile.TemporaryFile().close()
            ctypes.CDLL(None).getpid()
            re.compile(r"\\N{EM DASH}")
            asyncio.run(asyncio.sleep(0))
            print("done")
            """
        )
    )
    done = run_files(build_image(script).image)
    assert done.stdout.splitlines()[-1:] == ["done"], done.stderr
