"""Count the words of a text file: the main file of a small Spark application.

Uses all three kinds of packages: `wordtools.zip` (Python, kind pyFile), `word-stats.jar` (Java,
kind jar) and `stop_words.txt` (a plain file, kind file).

    word_count.py obs://bucket/input.txt obs://bucket/output
"""

from __future__ import annotations

import sys
from pathlib import Path

from pyspark import SparkFiles
from pyspark.sql import SparkSession
from wordtools.text import words


def main(source: str, target: str) -> None:
    spark = SparkSession.builder.appName("word_count").getOrCreate()
    stop_words = set(Path(SparkFiles.get("stop_words.txt")).read_text().split())
    counts = (
        spark.sparkContext.textFile(source)
        .flatMap(words)
        .filter(lambda word: word not in stop_words)
        .map(lambda word: (word, 1))
        .reduceByKey(lambda one, other: one + other)
    )
    # A class of word-stats.jar, through the gateway to the JVM.
    longest = spark._jvm.com.example.wordstats.WordStats.longest(counts.keys().collect())
    print(f"longest word: {longest}")
    counts.saveAsTextFile(target)
    spark.stop()


if __name__ == "__main__":
    main(*sys.argv[1:])
