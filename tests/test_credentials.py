"""Content credentials: found in each format, dropped and told, or signed anew."""

from __future__ import annotations

import datetime
import io
import json
import struct
import sys

import numpy as np
import pytest

from faceflex.cli.app import app
from faceflex.cli.common import read_source
from faceflex.edit.options import EditOptions, Target
from faceflex.edit.photo_job import edit_photo_file
from faceflex.edit.request import Request
from faceflex.errors import PhotoError, UsageError
from faceflex.photo import encode_photo, load_photo
from faceflex.photo.credentials import Signer
from faceflex.photo.exif import add_to_tiff
from faceflex.photo.metadata import DIGITAL_SOURCE_TYPE, provenance_xmp
from faceflex.photo.provenance import made_by_faceflex
from tests.test_formats import NEW
from tests.test_metadata import PACKET, exif_block, photo_file
from tests.test_photo import chunk

FORMS = ["JPEG", "PNG", "PNG-16", "WEBP", "TIFF", *NEW]
SOFTWARE = ("faceflex", "1.0 (model ab)")
BOX = bytes.fromhex("d8fec3d61b0e483c92975828877ec481")


def planted(form):
    """Encode a picture with what looks like a manifest, where its format keeps one."""
    data = photo_file(form)
    if form == "JPEG":
        body = b"JP\0\1\0\0\0\1\0\0\0\x40jumb\0\0\0\x20jumdc2pa"
        return data[:2] + b"\xff\xeb" + struct.pack(">H", 2 + len(body)) + body + data[2:]
    if form.startswith("PNG"):
        return data[:33] + chunk(b"caBX", b"jumb") + data[33:]
    if form == "WEBP":
        data += b"C2PA" + struct.pack("<I", 4) + b"jumb"
        return data[:4] + struct.pack("<I", len(data) - 8) + data[8:]
    if form == "TIFF":
        return add_to_tiff(data, None, {0xCD41: b"jumb"})
    return data + struct.pack(">I4s", 28, b"uuid") + BOX + bytes(4)


@pytest.mark.parametrize("form", FORMS)
def test_credentials_are_found_and_not_carried_over(form):
    assert not load_photo(photo_file(form)).credentials
    photo = load_photo(planted(form))
    assert photo.credentials
    assert not load_photo(encode_photo(photo, photo.rgb)).credentials


def test_the_word_of_xmp_about_credentials_elsewhere_is_found_and_goes():
    where = b' xmlns:dcterms="http://purl.org/dc/terms/" dcterms:provenance="self#a" acme:Roll='
    photo = load_photo(photo_file("JPEG", xmp=PACKET.replace(b" acme:Roll=", where)))
    assert photo.credentials
    assert b"provenance" not in photo.xmp
    assert b"a wedding" in photo.xmp


@pytest.fixture(scope="module")
def people(tmp_path_factory):
    """Keys and certificates of each kind, as PEM files: folder, with kind.crt and kind.key."""
    pytest.importorskip("c2pa")
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

    folder = tmp_path_factory.mktemp("people")
    now = datetime.datetime.now(datetime.timezone.utc)

    def certificate(name, key, issuer, issuer_key, authority):
        def named(text):
            oid = x509.oid.NameOID
            parts = ((oid.ORGANIZATION_NAME, "Test"), (oid.COMMON_NAME, text))
            return x509.Name([x509.NameAttribute(*part) for part in parts])

        uses = dict.fromkeys(
            ("content_commitment", "key_encipherment", "data_encipherment", "key_agreement",
             "crl_sign", "encipher_only", "decipher_only"), False,
        )  # fmt: skip
        usage = x509.KeyUsage(digital_signature=not authority, key_cert_sign=authority, **uses)
        made = (
            x509.CertificateBuilder(named(issuer), named(name), key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(1))
            .not_valid_after(now + datetime.timedelta(2))
            .add_extension(x509.BasicConstraints(authority, None), critical=True)
            .add_extension(usage, critical=True)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), False
            )
        )
        if not authority:
            purpose = x509.oid.ExtendedKeyUsageOID.EMAIL_PROTECTION
            made = made.add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
        signed = made.sign(issuer_key, hashes.SHA256())
        return signed.public_bytes(serialization.Encoding.PEM)

    root = ec.generate_private_key(ec.SECP256R1())
    top = certificate("Root", root, "Root", root, True)
    keys = {
        "es256": ec.generate_private_key(ec.SECP256R1()),
        "es384": ec.generate_private_key(ec.SECP384R1()),
        "ps256": rsa.generate_private_key(65537, 2048),
        "ed25519": ed25519.Ed25519PrivateKey.generate(),
    }
    pem, plain = serialization.Encoding.PEM, serialization.NoEncryption()
    for name, key in keys.items():
        old = serialization.PrivateFormat.TraditionalOpenSSL
        form = serialization.PrivateFormat.PKCS8 if name == "ed25519" else old
        (folder / f"{name}.crt").write_bytes(certificate(name, key, "Root", root, False) + top)
        (folder / f"{name}.key").write_bytes(key.private_bytes(pem, form, plain))
    locked = serialization.BestAvailableEncryption(b"word")
    (folder / "locked.key").write_bytes(
        keys["es256"].private_bytes(pem, serialization.PrivateFormat.PKCS8, locked)
    )
    (folder / "root.crt").write_bytes(top)
    return folder


def signer_of(people, name="es256"):
    return Signer.read(people / f"{name}.crt", people / f"{name}.key")


def read_back(data, form):
    """Return the active manifest, all manifests, and the codes of what does not hold."""
    import c2pa

    kind = {"HEIF": "heic"}.get(form, form.split("-")[0].lower())
    with c2pa.Reader(f"image/{kind}", io.BytesIO(data)) as reader:
        found = json.loads(reader.json())
    wrong = {status["code"] for status in found.get("validation_status", [])}
    return found["manifests"][found["active_manifest"]], found["manifests"], wrong


def actions_of(manifest):
    (found,) = (a for a in manifest["assertions"] if a["label"] == "c2pa.actions.v2")
    return found["data"]["actions"]


UNTRUSTED = {"signingCredential.untrusted"}


@pytest.mark.parametrize("form", FORMS)
def test_a_signed_picture_says_what_was_done_to_which_photo(people, form):
    photo = load_photo(photo_file(form, exif=exif_block(1)))
    marked = provenance_xmp(photo.xmp, "faceflex", "1", {})
    edited = encode_photo(photo, photo.rgb, xmp=marked)
    first = photo_file("JPEG")
    parent = (first, "JPEG", "friend.jpg")
    done = {"Smiling": "1.5", "model": "ab"}
    signer = signer_of(people)
    signed = signer.sign(edited, photo.format, parent, SOFTWARE, done)
    active, _, wrong = read_back(signed, form)
    assert wrong == UNTRUSTED
    opened, act = actions_of(active)
    assert (opened["action"], act["action"]) == ("c2pa.opened", "c2pa.edited")
    assert act["digitalSourceType"] == DIGITAL_SOURCE_TYPE
    assert act["parameters"] == done
    assert act["softwareAgent"] == {"name": SOFTWARE[0], "version": SOFTWARE[1]}
    (original,) = active["ingredients"]
    assert (original["title"], original["relationship"]) == ("friend.jpg", "parentOf")
    assert "thumbnail" not in original
    again = load_photo(signed)
    assert again.credentials
    assert again.exif == load_photo(edited).exif
    assert b"compositeWithTrained" in again.xmp
    np.testing.assert_array_equal(again.rgb, load_photo(edited).rgb)
    twice = signer.sign(edited, photo.format, (signed, photo.format, "a"), SOFTWARE, done)
    _, every, wrong = read_back(twice, form)
    assert (len(every), wrong) == (2, UNTRUSTED)  # The photo's own credentials live on.


@pytest.mark.parametrize("form", ["JPEG", "PNG"])
def test_a_changed_pixel_is_found_out(people, form):
    parent = (photo_file("BMP"), "BMP", "a.bmp")
    signed = bytearray(signer_of(people).sign(photo_file(form), form, parent, SOFTWARE, {}))
    assert read_back(bytes(signed), form)[2] == UNTRUSTED
    at = signed.rindex(b"\xff\xda") + 30 if form == "JPEG" else signed.index(b"IDAT") + 40
    signed[at] ^= 1
    assert "assertion.dataHash.mismatch" in read_back(bytes(signed), form)[2]


@pytest.mark.parametrize("name", ["es256", "es384", "ps256", "ed25519"])
def test_the_key_gives_the_algorithm(people, name):
    signer = signer_of(people, name)
    assert signer.algorithm == name
    signed = signer.sign(photo_file("JPEG"), "JPEG", (b"x", "JPEG", "a"), SOFTWARE, {})
    active, _, wrong = read_back(signed, "JPEG")
    assert wrong == UNTRUSTED
    assert active["signature_info"]["alg"].lower() == name


@pytest.mark.parametrize(
    ("certificate", "key", "message"),
    [
        ("none.crt", "es256.key", r"none\.crt: cannot be read"),
        ("es256.crt", "none.key", r"none\.key: cannot be read"),
        ("es256.key", "es256.key", r"es256\.key: holds no certificate"),
        ("es256.crt", "es256.crt", r"es256\.crt: holds no private key"),
        ("es256.crt", "es384.key", r"es384\.key: is not the key of"),
        ("es256.crt", "locked.key", r"locked\.key: is encrypted"),
    ],
)
def test_a_certificate_that_cannot_sign_is_told_in_one_line(people, certificate, key, message):
    with pytest.raises(UsageError, match=message) as caught:
        Signer.read(people / certificate, people / key)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("given", [("--sign-key", "a"), ("--sign-certificate", "a"),
                                   ("--sign-timestamp", "a")])  # fmt: skip
def test_signing_needs_both_files(given, png):
    with pytest.raises(UsageError, match="needs both --sign-certificate and --sign-key"):
        app(["edit", str(png), "--set", "Smiling=1", *given], standalone_mode=False)


def test_signing_without_its_package_is_told_how_to_get_it(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "c2pa", None)
    with pytest.raises(UsageError, match=r"a\.crt: signing needs a package: .*faceflex\[c2pa\]"):
        Signer.read(tmp_path / "a.crt", tmp_path / "a.key")


def test_a_format_without_credentials_is_told(people):
    with pytest.raises(PhotoError, match=r"^a: BMP cannot hold content credentials; use JPEG"):
        signer_of(people).sign(photo_file("BMP"), "BMP", (b"", "BMP", "a"), SOFTWARE, {})


def edited_once(editor, source, out, **options):
    """Edit one photo, and return its only record."""
    job = EditOptions(Request((), (), 1, {"Smiling": 1.0}), **options)
    (record,) = edit_photo_file(job, editor, str(source), Target(out.parent, out), read_source)
    return record.as_json()


def test_records_say_what_became_of_credentials_and_provenance(editor, people, png, tmp_path):
    signer, photo = signer_of(people), load_photo(png)
    path = tmp_path / "signed.jpg"
    parent = (png.read_bytes(), "PNG", "friend.png")
    data = encode_photo(photo, photo.rgb, target="JPEG")
    path.write_bytes(signer.sign(data, "JPEG", parent, SOFTWARE, {}))
    dropped = edited_once(editor, path, tmp_path / "a.jpg", provenance=False)
    assert (dropped["c2pa"], dropped["provenance"]) == ("dropped", None)
    assert [n for n in dropped["notes"] if n.endswith("no longer be true; left out")]
    plain = load_photo(tmp_path / "a.jpg")
    assert (plain.credentials, plain.xmp) == (False, None)
    bare = edited_once(editor, path, tmp_path / "b.jpg", signer=signer, strip=True)
    assert bare["c2pa"] == "signed"
    assert bare["provenance"]["source_type"] == DIGITAL_SOURCE_TYPE
    assert bare["notes"] == []
    active, every, wrong = read_back((tmp_path / "b.jpg").read_bytes(), "JPEG")
    assert (len(every), wrong) == (1, UNTRUSTED)
    assert actions_of(active)[1]["parameters"] == {
        "Smiling": "1",
        "method": editor.method.name,
        **editor.method.fingerprints,
        "content": editor.composer.content.fingerprint,
    }
    assert DIGITAL_SOURCE_TYPE.encode() in load_photo(tmp_path / "b.jpg").xmp


@pytest.mark.parametrize("form", ["MP4", "GIF", "WEBP"])
def test_a_signed_clip_says_what_was_done_to_which_photo(people, form, tmp_path):
    import c2pa

    from faceflex.photo.clip import ClipFile, read_clip_xmp

    if form == "MP4":
        pytest.importorskip("av")
    frames = np.random.default_rng(0).integers(0, 255, (4, 64, 64, 3)).astype(np.uint8)
    marked = provenance_xmp(None, "faceflex", "1", {})
    ClipFile(form, 25, marked).write(tmp_path / "clip", list(frames))
    parent = (photo_file("JPEG"), "JPEG", "friend.jpg")
    data = (tmp_path / "clip").read_bytes()
    signed = signer_of(people).sign(data, form, parent, SOFTWARE, {"intensity": "1"})
    kind = {"MP4": "video/mp4", "GIF": "image/gif", "WEBP": "image/webp"}[form]
    with c2pa.Reader(kind, io.BytesIO(signed)) as reader:
        found = json.loads(reader.json())
    assert {s["code"] for s in found.get("validation_status", [])} == UNTRUSTED
    opened, act = actions_of(found["manifests"][found["active_manifest"]])
    assert (opened["action"], act["action"]) == ("c2pa.opened", "c2pa.edited")
    assert act["parameters"] == {"intensity": "1"}
    if form != "WEBP":
        assert made_by_faceflex(read_clip_xmp(signed))


def test_sheets_and_paths_of_feelings_are_signed(people, run, png, tmp_path):
    key = ("--sign-certificate", str(people / "es256.crt"), "--sign-key", str(people / "es256.key"))
    made = (
        (("--circumplex", "--circumplex-steps", "2"), "s.png", "PNG", ("circumplex", "2")),
        (("--path", "0,0 1,0", "--frames", "2"), "p.gif", "GIF", ("path", "0,0 1,0")),
    )
    for words, name, form, (setting, value) in made:
        done = run("edit", png, *words, "-o", name, *key)
        assert done.returncode == 0, done.stderr
        active, _, wrong = read_back((tmp_path / name).read_bytes(), form)
        assert wrong == UNTRUSTED
        assert actions_of(active)[1]["parameters"][setting] == value
        assert active["ingredients"][0]["title"] == "friend.png"
