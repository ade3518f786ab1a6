// Package data owns the record: readers of data sets, splits, and the order in which a run meets its examples.
package data
