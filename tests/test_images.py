"""The gate for untrusted image bytes: every kind of file comes out upright, 8 bits, grey or RGB, or with a clear no."""

import io
import struct
import time
import tracemalloc
import warnings
import zlib
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image

from imgrec.images import EXTENSIONS, FORMATS, RESIZES, ImageError, fit, of_pillow, open_image, safe_name, to_png

NOISE = Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8))
RED, GREEN, BLUE, BLACK, WHITE, MIXED = (255, 0, 0), (0, 255, 0), (0, 0, 255), (0, 0, 0), (255, 255, 255), (200, 30, 60)


def saved(image, format="PNG", **options):
    file = io.BytesIO()
    image.save(file, format, **options)
    return file.getvalue()


def plain(mode, colour, size=(8, 8)):
    return Image.new(mode, size, colour)


def mixed(mode, format="PNG"):
    return saved(plain("RGB", MIXED).convert(mode, palette=Image.Palette.ADAPTIVE), format)


def movie(format):
    return saved(plain("RGB", RED), format, save_all=True, append_images=[plain("RGB", BLUE)], lossless=True)


def chunk(kind, content):
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png(width, height, bits=8, colour_type=2, rows=b""):
    header = struct.pack(">IIBBBBB", width, height, bits, colour_type, 0, 0, 0)
    data = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + data


def exif(kind, count, value):
    """EXIF with one entry, the orientation, of any type; Pillow writes only numbers there."""
    entry = struct.pack("<HHI4s", 0x0112, kind, count, value)
    return b"Exif\0\0II*\0" + struct.pack("<IH", 8, 1) + entry + b"\0" * 4


# Good pictures


@pytest.mark.parametrize("format", [*FORMATS, "MPO"])
def test_every_allowed_format_is_read_and_loses_its_metadata(format):
    data = movie(format) if format == "MPO" else saved(plain("RGB", RED), format, comment="secret")
    image = open_image(data)
    assert (type(image), image.mode, image.size, image.info.keys()) == (Image.Image, "RGB", (8, 8), {"mode", "format"})
    np.testing.assert_allclose(image.getpixel((3, 3)), RED, atol=3)


def test_extensions_are_lower_case_without_dot_and_pillow_knows_their_formats():
    assert {Image.registered_extensions()[f".{ending}"] for ending in EXTENSIONS} == {*FORMATS, "MPO"}


KINDS = {  # what the file stores → its bytes and the pixel that must come out
    "grey": (saved(plain("L", 77)), 77),
    "one bit": (saved(plain("1", 1)), 255),
    "grey, invisible": (saved(plain("LA", (0, 0))), 255),
    "grey, half": (saved(plain("LA", (0, 127))), 128),
    "colour, invisible": (saved(plain("RGBA", (*RED, 0))), WHITE),
    "colour, half": (saved(plain("RGBA", (*RED, 127))), (255, 128, 128)),
    "palette": (mixed("P"), MIXED),
    "CMYK JPEG": (mixed("CMYK", "JPEG"), MIXED),
    "YCbCr": (mixed("YCbCr", "TIFF"), MIXED),
    "LAB": (mixed("LAB", "TIFF"), MIXED),
    "16-bit colour": (png(1, 1, 16, 2, b"\0" + struct.pack(">3H", 0, 32768, 65535)), (0, 128, 255)),
    "animated GIF": (movie("GIF"), RED),
    "animated WEBP": (movie("WEBP"), RED),
    "animated PNG": (movie("PNG"), RED),
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_pixel_becomes_grey_or_rgb_on_white(kind):
    data, expected = KINDS[kind]
    image = open_image(data)
    assert image.mode == ("RGB" if isinstance(expected, tuple) else "L")
    np.testing.assert_allclose(image.getpixel((0, 0)), expected, atol=2 if expected == MIXED else 0)


@pytest.mark.parametrize("transparency", [0, b"\0"], ids=["index", "alphas"])
def test_a_transparent_palette_entry_is_white(transparency):
    image = plain("P", 0)
    image.putpalette([*RED, *BLUE])
    image.putpixel((1, 0), 1)
    opened = open_image(saved(image, transparency=transparency))
    assert [opened.getpixel((x, 0)) for x in (0, 1)] == [WHITE, BLUE]


@pytest.mark.parametrize("white", [1, 0])  # the TIFF tag that says whether 0 is black or white
@pytest.mark.parametrize(("dtype", "format"), [("u2", "PNG"), ("u2", "TIFF"), (">u2", "TIFF"), ("i4", "TIFF")])
def test_16_bit_grey_is_scaled_by_value_and_not_clipped(dtype, format, white):
    options = {"tiffinfo": {262: white}} if format == "TIFF" and dtype == "u2" else {}
    image = open_image(saved(Image.fromarray(np.array([[0, 255, 32768, 65535]], dtype)), format, **options))
    assert image.mode == "L"
    negative = options and white == 0
    assert [image.getpixel((x, 0)) for x in range(4)] == ([255, 255, 127, 0] if negative else [0, 0, 128, 255])


CORNERS = {1: "abcd", 2: "badc", 3: "dcba", 4: "cdab", 5: "acbd", 6: "cadb", 7: "dbca", 8: "bdac"}  # row by row


@pytest.mark.parametrize("format", ["PNG", "TIFF", "WEBP"])
@pytest.mark.parametrize("orientation", CORNERS)
def test_every_exif_orientation_comes_out_upright(orientation, format):
    stored = np.zeros((4, 6, 3), np.uint8)
    stored[[0, 0, -1, -1], [0, -1, 0, -1]] = np.array([list(b"abcd")]).T
    data = saved(Image.fromarray(stored), format, exif=exif(3, 1, bytes([orientation, 0, 0, 0])), lossless=True)
    upright = np.asarray(open_image(data))
    assert upright.shape == ((4, 6, 3) if orientation < 5 else (6, 4, 3))
    assert bytes(upright[[0, 0, -1, -1], [0, -1, 0, -1], 0]).decode() == CORNERS[orientation]


@pytest.mark.parametrize(
    "entry", [(3, 1, b"\x09\0\0\0"), (3, 1, b"\0\0\0\0"), (2, 2, b"6\0\0\0"), (11, 1, b"\0\0\xc0\x40")]
)
def test_a_nonsense_orientation_is_ignored(entry):
    assert open_image(saved(plain("RGB", RED, (8, 4)), "JPEG", exif=exif(*entry))).size == (8, 4)


def test_bytes_paths_and_files_give_the_same_picture(tmp_path):
    data, path = saved(NOISE), tmp_path / "noise.png"
    path.write_bytes(data)
    with path.open("rb") as file:
        file.read(10)
        for source in (data, bytearray(data), path, str(path), io.BytesIO(data), file):
            assert open_image(source) == open_image(data)
        assert not file.closed


def quarters():
    """Red, green, blue and white, row by row, 64 × 48 pixels."""
    pixels = np.zeros((48, 64, 3), np.uint8)
    pixels[:24, :32], pixels[:24, 32:], pixels[24:, :32], pixels[24:, 32:] = RED, GREEN, BLUE, WHITE
    return Image.fromarray(pixels)


def test_a_photo_of_an_iphone_is_read_upright():
    """Its reader turns it already, and must not be followed by a second turn."""
    image = open_image(saved(quarters(), "HEIF", exif=exif(3, 1, b"\x06\0\0\0")), "IMG_0001.HEIC")
    assert (image.mode, image.size, image.info) == ("RGB", (48, 64), {"mode": "RGB", "format": "HEIF"})
    corners = [image.getpixel(at) for at in ((5, 5), (43, 5), (5, 59), (43, 59))]
    np.testing.assert_allclose(corners, [BLUE, RED, WHITE, GREEN], atol=8)


def test_grey_and_invisible_parts_of_it_are_read_as_of_others():
    assert open_image(saved(plain("L", 77, (64, 64)), "HEIF")).mode == "L"
    half = quarters().convert("RGBA")
    half.putalpha(Image.fromarray(np.repeat([[255, 0]], 32, 1).repeat(48, 0).astype(np.uint8)))
    image = open_image(saved(half, "HEIF"))
    np.testing.assert_allclose([image.getpixel((5, 5)), image.getpixel((59, 5))], [RED, WHITE], atol=8)


def test_of_several_the_one_that_the_photographer_chose_is_read():
    data = saved(
        plain("RGB", BLUE, (64, 64)),
        "HEIF",
        save_all=True,
        append_images=[plain("RGB", RED, (64, 64))],
        primary_index=1,
    )
    np.testing.assert_allclose(open_image(data).getpixel((9, 9)), RED, atol=8)


def test_too_many_pixels_of_it_are_refused_before_they_are_decoded(monkeypatch):
    data = saved(plain("RGB", RED, (1600, 1000)), "HEIF", quality=5)
    monkeypatch.setattr("imgrec.images.MAX_MEGAPIXELS", 1)
    monkeypatch.setattr(type(Image.open(io.BytesIO(data))), "load", lambda image: pytest.fail("decoded"))
    with pytest.raises(ImageError, match="has more than 1 megapixels"):
        open_image(data)


# Bad pictures


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("part", [0.02, 0.5, 0.97])
def test_a_truncated_file_is_refused(format, part):
    data = saved(NOISE, format)
    with pytest.raises(ImageError, match=r"^holiday\.x: (it is damaged|this is not a picture that can be read).*\)\.$"):
        open_image(data[: int(part * len(data))], "holiday.x")


BAD = {  # reason → content
    r"it is damaged or cut off \(.*size": saved(quarters(), "HEIF").replace(
        struct.pack(">II", 64, 64), struct.pack(">II", 9000, 6000)
    ),
    r"the file is empty\.": b"",
    r"this is not a picture that can be read \(it begins like text\)\.": "Grüße, this is no picture".encode(),
    r"can be read \(JPEG, PNG.* AVIF, HEIF are read\)\.": bytes(range(256)),
    r"can be read \(its header is damaged or cut off\)": png(0, 5),
    "JPEG 2000 pictures are not": saved(NOISE, "JPEG2000"),
    "PDF documents are not": saved(NOISE, "PDF"),
    "SVG drawings are not": b'<?xml version="1.0"?>\n<svg xmlns="x"/>',
    "its pixels are floating-point": saved(Image.fromarray(np.ones((4, 4), np.float32)), "TIFF"),
    "its pixels are numbers from 0 to 70000": saved(Image.fromarray(np.array([[0, 70000]], np.int32)), "TIFF"),
}


@pytest.mark.parametrize("reason", BAD)
def test_what_is_no_usable_picture_is_named_in_one_sentence(reason):
    with pytest.raises(ImageError, match=rf"^holiday\.png: .*{reason}") as error:
        open_image(BAD[reason], "holiday.png")
    assert str(error.value).endswith(".")
    assert ". " not in str(error.value)


@pytest.mark.parametrize("size", [(60_000, 60_000), (12_000, 10_000), (8000, 6400)], ids=str)
def test_too_many_pixels_are_refused_by_the_header_quickly_and_without_warning(size):
    data, limit, start = png(*size), Image.MAX_IMAGE_PIXELS, time.monotonic()
    tracemalloc.start()
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        with pytest.raises(ImageError, match=r"^picture: it has more than 50 megapixels; save it smaller\.$"):
            open_image(data)
    memory = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert heard == []
    assert memory < 1e6
    assert time.monotonic() - start < 1
    assert limit == Image.MAX_IMAGE_PIXELS


def test_pictures_opened_in_threads_are_equal_and_leave_the_filters_of_warnings_alone():
    data = saved(NOISE)
    first, filters = open_image(data).tobytes(), list(warnings.filters)
    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(lambda _: open_image(data).tobytes() == first, range(40)))
    assert warnings.filters == filters


@pytest.mark.parametrize(("path", "reason"), [("no.png", "cannot be opened"), (".", "folder"), ("\0", "null byte")])
def test_a_path_that_cannot_be_read_is_an_image_error(tmp_path, path, reason):
    with pytest.raises(ImageError, match=reason):
        open_image(f"{tmp_path}/{path}")


NAMES = {
    "a/b/c.png": "c.png",
    "C:\\fakepath\\c.png": "c.png",
    "../../x\n\x1b[31m.png": "x[31m.png",
    "\u202egnp.exe": "gnp.exe",
    "é 猫.png": "é 猫.png",
    "x" * 999: "x" * 200,
    "/": "picture",
}


@pytest.mark.parametrize("name", NAMES)
def test_names_in_messages_have_no_path_and_no_control_characters(name):
    assert safe_name(name) == NAMES[name]
    with pytest.raises(ImageError) as error:
        open_image(b"", name)
    assert str(error.value) == f"{NAMES[name]}: the file is empty."


# Sizes


@pytest.mark.parametrize(("at_least", "shorter"), [(None, 600), (400, 600), (150, 300), (75, 150), (10, 75)])
def test_a_big_jpeg_comes_smaller_but_with_twice_the_pixels_needed(at_least, shorter):
    data = saved(NOISE.resize((9, 6)).resize((900, 600)), "JPEG", quality=90)
    small = open_image(data, at_least=at_least)
    assert min(small.size) == shorter
    assert np.abs(fit(open_image(data), 30, 3).astype(int) - fit(small, 30, 3)).mean() < 1


@pytest.mark.parametrize("resize", RESIZES)
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("shape", [(9, 17), (17, 9), (5, 5), (200, 1), (16, 16)], ids=str)
def test_fit_gives_the_shape_that_a_network_needs(resize, channels, shape):
    for image in (plain("L", 50, shape), plain("RGB", (50, 50, 50), shape)):
        pixels = fit(image, 16, channels, resize)
        assert (pixels.shape, pixels.dtype, pixels.max()) == ((16, 16, channels), np.uint8, 50)
        assert (pixels.flags.c_contiguous, pixels.flags.writeable) == (True, True)


POLICIES = [("crop", "ggg", "ggg"), ("pad", "---", "rgb"), ("squash", "rgb", "rgb")]  # top and middle row


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize(("resize", "top", "middle"), POLICIES)
def test_crop_takes_the_middle_pad_keeps_the_shape_and_squash_fills(resize, top, middle, turned):
    colours = {"r": RED, "g": GREEN, "b": BLUE, "-": BLACK}
    flag = np.array([[colours[letter] for letter in "rgb"]], np.uint8).repeat(60, 1).repeat(60, 0)  # (60, 180, 3)
    pixels = fit(Image.fromarray(flag.swapaxes(0, 1) if turned else flag), 60, 3, resize)
    pixels = pixels.swapaxes(0, 1) if turned else pixels
    for row, letters in ((2, top), (30, middle), (57, top)):
        assert [tuple(pixels[row, x]) for x in (5, 30, 55)] == [colours[letter] for letter in letters]


def test_shrinking_is_antialiased():
    stripes = Image.fromarray(np.tile(np.array([0, 255], np.uint8), (160, 80)))  # columns black and white in turn
    np.testing.assert_allclose(fit(stripes, 20, 1), 127, atol=6)


@pytest.mark.parametrize("resize", RESIZES)
def test_a_picture_of_the_right_size_passes_untouched(resize):
    grey = NOISE.convert("L")
    assert (fit(NOISE, 64, 3, resize) == np.asarray(NOISE)).all()
    assert (fit(grey, 64, 3, resize) == np.asarray(grey)[..., None]).all()
    assert (fit(NOISE, 64, 1, resize)[..., 0] == np.asarray(grey)).all()
    assert (fit(NOISE.crop((0, 0, 64, 31)), 31, 3, "crop") == np.asarray(NOISE)[:31, 16:47]).all()


@pytest.mark.parametrize("shape", [(5, 7), (5, 7, 1), (5, 7, 3)])
def test_png_bytes_give_the_pixels_back(shape):
    pixels = np.random.default_rng(1).integers(0, 256, shape, np.uint8)
    assert (np.asarray(open_image(to_png(pixels))) == pixels.squeeze()).all()


@pytest.mark.parametrize("array", [np.zeros((5, 5)), np.zeros((5, 5, 2), np.uint8), np.zeros((0, 5), np.uint8)])
def test_only_pixels_become_a_png(array):
    with pytest.raises(ValueError, match="give uint8"):
        to_png(array)


@pytest.mark.parametrize("wrong", [(0, 3, "crop"), (8, 2, "crop"), (8, 3, "bend")])
def test_fit_refuses_what_it_cannot_do(wrong):
    with pytest.raises(ValueError, match="crop, pad, squash"):
        fit(NOISE, *wrong)


def test_a_jpeg_of_thousands_of_scans_is_refused_before_it_is_read():
    """One such of 1.7 MB took 84 s of a processor; Pillow looks at the pixels only."""
    file = io.BytesIO()
    Image.new("RGB", (64, 64), "red").save(file, "JPEG", progressive=True)
    sound = file.getvalue()
    assert open_image(sound).size == (64, 64)
    last = sound.rindex(b"\xff\xda")
    many = sound[:last] + sound[last:-2] * 300 + sound[-2:]
    with pytest.raises(ImageError, match="more than 200 scans"):
        open_image(many)
    assert open_image(sound[:last] + sound[last:-2] * 20 + sound[-2:]).size == (64, 64)


def test_a_picture_that_was_opened_already_is_read_as_its_file_would_be():
    """Turning it first would lose what a TIFF says of its white."""
    values = np.linspace(0, 65535, 64).reshape(8, 8).astype(np.uint16)
    turned = Image.Exif()
    turned[0x0112] = 6
    files = [saved(Image.fromarray(values), "TIFF", tiffinfo={262: 0}), saved(NOISE, "JPEG", exif=turned)]
    for file in files:
        opened = of_pillow(Image.open(io.BytesIO(file)))
        assert np.array_equal(np.asarray(opened), np.asarray(open_image(file)))
