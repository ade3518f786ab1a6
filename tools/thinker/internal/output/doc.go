// Package output writes the files that commands leave behind.
//
// A file that exists is replaced in one step, and only when the new one is complete: until then what is written lies in a temporary
// file beside it. Whatever ends a command early (an error, an interrupt) leaves the old file as it was. Standard output, pipes and
// devices cannot be replaced and are written as they come.
package output
