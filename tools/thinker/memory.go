package main

import (
	"bufio"
	"os"
	"strconv"
	"strings"
)

// procKiB reads fields of a file such as /proc/meminfo, in bytes. It is empty where there is no such file.
func procKiB(path string) map[string]int64 {
	f, err := os.Open(path)
	if err != nil {
		return nil
	}
	defer f.Close()
	m := map[string]int64{}
	for s := bufio.NewScanner(f); s.Scan(); {
		key, value, ok := strings.Cut(s.Text(), ":")
		if !ok {
			continue
		}
		number, isKiB := strings.CutSuffix(strings.TrimSpace(value), " kB")
		n, err := strconv.ParseInt(strings.TrimSpace(number), 10, 64)
		if err != nil {
			continue
		}
		if isKiB {
			n <<= 10
		}
		m[key] = n
	}
	return m
}

// peakMemory is the most memory that the process ever had resident, in bytes; 0 if the system does not say.
func peakMemory() int64 { return procKiB("/proc/self/status")["VmHWM"] }
