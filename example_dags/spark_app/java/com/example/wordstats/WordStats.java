package com.example.wordstats;

import java.util.Arrays;
import java.util.List;

/** What the word count asks of the JVM. */
public final class WordStats {
    private WordStats() {}

    /** Gives the longest word, the first of several, or an empty text for no words. */
    public static String longest(List<String> words) {
        String longest = "";
        for (String word : words) {
            if (word.length() > longest.length()) {
                longest = word;
            }
        }
        return longest;
    }

    /** Prints the longest of the arguments. */
    public static void main(String[] words) {
        System.out.println(longest(Arrays.asList(words)));
    }
}
