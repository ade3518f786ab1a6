// Package jsonl reads and writes files of one JSON object a line.
//
// It differs from a loop over encoding/json in what machine contracts need: lines may be megabytes long, but not endless; a key that
// occurs twice, text that is not UTF-8 and numbers that do not fit are refused; a key is told from another case for case; every error
// names the line, the key and the value. Numbers are written so that reading them back gives the same bits, whether the reader parses
// 32-bit or 64-bit floating point.
package jsonl
