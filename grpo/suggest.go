package grpo

import "fmt"

// Nearest is the word that was probably meant: the first of those with the least edit distance, or "" if all are further than two letters
// put in, taken out or changed.
func Nearest(word string, known []string) string {
	best, distance := "", 3
	if len(word) < 2 || len(word) > 100 {
		return ""
	}
	for _, k := range known {
		if d := editDistance(word, k); d < distance {
			best, distance = k, d
		}
	}
	return best
}

// editDistance is Levenshtein's: how many letters must be put in, taken out or changed to make b of a.
func editDistance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := diagonal
			if a[i] != b[j] {
				change++
			}
			diagonal = row[j+1]
			row[j+1] = min(change, row[j]+1, diagonal+1)
		}
	}
	return row[len(b)]
}

// didYouMean ends a message.
func didYouMean(word string, known []string) string {
	if n := Nearest(word, known); n != "" {
		return fmt.Sprintf(": did you mean %s?", n)
	}
	return ""
}
