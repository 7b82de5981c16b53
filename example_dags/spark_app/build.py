"""Make `wordtools.zip`, and with `--jar` also `word-stats.jar`: same sources, same bytes."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

HERE = Path(__file__).parent
# The earliest time that a zip can hold: a date of today would change the bytes each time.
EPOCH = (1980, 1, 1, 0, 0, 0)
MANIFEST = "Manifest-Version: 1.0\r\nMain-Class: com.example.wordstats.WordStats\r\n\r\n"


def archive(target: Path, members: dict[str, bytes]) -> None:
    with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as file:
        for name, data in members.items():
            entry = zipfile.ZipInfo(name, EPOCH)
            file.writestr(entry, data)


def build_zip(target: Path) -> None:
    sources = sorted((HERE / "wordtools").glob("*.py"))
    archive(target, {f"wordtools/{source.name}": source.read_bytes() for source in sources})


def build_jar(target: Path) -> None:
    with tempfile.TemporaryDirectory() as folder:
        sources = [str(source) for source in sorted((HERE / "java").rglob("*.java"))]
        # Spark 2.x and 3.1 on DLI run on Java 8.
        subprocess.run(["javac", "--release", "8", "-d", folder, *sources], check=True)
        classes = sorted(Path(folder).rglob("*.class"))
        members = {str(c.relative_to(folder)): c.read_bytes() for c in classes}
        archive(target, {"META-INF/MANIFEST.MF": MANIFEST.encode()} | members)


if __name__ == "__main__":
    build_zip(HERE / "wordtools.zip")
    if "--jar" in sys.argv:
        build_jar(HERE / "word-stats.jar")
