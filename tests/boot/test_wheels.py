"""Native wheels from PyPI do real work inside an image; what they find is compared with the same program on Linux."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from tests.boot.programs import run, text

pytestmark = pytest.mark.boot

PROGRAMS = {
    "numpy": """
        import numpy as np

        generator = np.random.default_rng(7)
        a = generator.standard_normal((120, 120))
        b = generator.standard_normal(120)
        x = np.linalg.solve(a, b)
        print(np.allclose(a @ x, b), round(float(np.linalg.det(a[:4, :4])), 6))
        values = np.linalg.eigvalsh(a + a.T)
        u, s, v = np.linalg.svd(a[:40, :40])
        print(np.allclose((u * s) @ v, a[:40, :40]), bool((np.diff(values) >= 0).all()))
        print(np.fft.fft(np.arange(8)).round(3).tolist())
        print(np.sort(generator.integers(0, 1000, 50))[:10].tolist(), a.sum().round(6))
        """,
    "numpy in threads": """
        import threading
        from concurrent.futures import ThreadPoolExecutor

        import numpy as np

        def work(seed):
            m = np.random.default_rng(seed).standard_normal((100, 100))
            return float(np.abs(m @ np.linalg.inv(m) - np.eye(100)).max()) < 1e-6

        with ThreadPoolExecutor(8) as pool:
            print(list(pool.map(work, range(16))))
        """,
    "pydantic": """
        from datetime import date
        from pydantic import BaseModel, ValidationError, field_validator

        class Item(BaseModel):
            name: str
            price: float
            bought: date | None = None
            tags: list[str] = []

            @field_validator("price")
            @classmethod
            def positive(cls, value):
                if value <= 0:
                    raise ValueError("must be positive")
                return value

        print(Item.model_validate_json('{"name": "tea", "price": "2.5", "bought": "2026-01-02", "tags": ["a"]}'))
        try:
            Item(name=1, price=-1)
        except ValidationError as error:
            print([(e["loc"], e["type"]) for e in error.errors()])
        print(sorted(Item.model_json_schema()["properties"]))
        """,
    "cryptography": """
        from cryptography.exceptions import InvalidSignature
        from cryptography.fernet import Fernet
        from cryptography.hazmat.primitives import hashes, serialization
        from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa, padding
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305
        from cryptography.hazmat.primitives.kdf.hkdf import HKDF

        print(HKDF(hashes.SHA256(), 32, b"salt", b"info").derive(b"key").hex())
        print(AESGCM(bytes(32)).encrypt(bytes(12), b"text", b"more").hex())
        print(ChaCha20Poly1305(bytes(32)).encrypt(bytes(12), b"text", None).hex())
        key = ed25519.Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
        print(key.sign(b"message").hex())
        drawn = ec.generate_private_key(ec.SECP256R1())
        signature = drawn.sign(b"message", ec.ECDSA(hashes.SHA256()))
        drawn.public_key().verify(signature, b"message", ec.ECDSA(hashes.SHA256()))
        try:
            drawn.public_key().verify(signature, b"other", ec.ECDSA(hashes.SHA256()))
        except InvalidSignature:
            print("refused")
        fernet = Fernet(Fernet.generate_key())
        print(fernet.decrypt(fernet.encrypt(b"secret")))
        """,
    "orjson": """
        import datetime, uuid
        import orjson

        when = datetime.datetime(2026, 1, 2, 3, 4, 5)
        value = {"a": [1, 2.5, None, True], "when": when, "id": uuid.UUID(int=7), "ü": "é"}
        data = orjson.dumps(value, option=orjson.OPT_SORT_KEYS | orjson.OPT_INDENT_2)
        print(data.decode())
        print(orjson.loads(data)["a"])
        try:
            orjson.loads(b"{")
        except orjson.JSONDecodeError as error:
            print("refused", error.pos)
        """,
    "pillow": """
        import hashlib, io
        from PIL import Image, ImageDraw, ImageFilter

        image = Image.new("RGB", (64, 48), (10, 20, 30))
        ImageDraw.Draw(image).ellipse((8, 8, 40, 40), fill=(200, 100, 50))
        image = image.filter(ImageFilter.GaussianBlur(2)).rotate(30)
        for kind in "PNG", "JPEG", "GIF":
            file = io.BytesIO()
            image.save(file, kind)
            again = Image.open(io.BytesIO(file.getvalue()))
            print(kind, again.size, again.mode, hashlib.sha256(again.convert("RGB").tobytes()).hexdigest())
        """,
    "regex": """
        import regex

        print(regex.findall(r"\\\\p{Lu}\\\\p{Ll}+", "Über Straße Été"))
        print(regex.sub(r"(?<a>.)(?<b>.)", r"\\\\g<b>\\\\g<a>", "abcdef"))
        print(regex.fullmatch(r"(?:cats|cat){e<=1}", "cxt") is not None)
        """,
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_wheel_does_in_an_image_what_it_does_on_linux(tmp_path: Path, name: str) -> None:
    source = textwrap.dedent(PROGRAMS[name].replace("\\\\", "\\"))
    control = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True, check=True).stdout
    outcome = run(tmp_path, source, memory_mib=512, timeout_s=300)
    assert outcome.status == 0, text(outcome)
    assert text(outcome) == control
    assert len(control) > 10
