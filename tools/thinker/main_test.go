package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestMain lets the test binary be the command, and a program that verifies, for rewards.exec.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 {
		if os.Args[1] == "-thinker" { // the command itself, to be killed
			os.Args = slices.Delete(os.Args, 1, 2)
			main()
		}
		if what, ok := strings.CutPrefix(os.Args[1], "-reward-program="); ok {
			rewardProgram(what)
			return
		}
	}
	os.Exit(m.Run())
}

func rewardProgram(what string) {
	s := bufio.NewScanner(os.Stdin)
	s.Buffer(nil, 16<<20)
	for s.Scan() {
		switch what {
		case "hangs":
			time.Sleep(time.Hour)
		case "crashes":
			fmt.Fprintln(os.Stderr, "a bug")
			os.Exit(3)
		}
		var call struct{ ID, Response string }
		if err := json.Unmarshal(s.Bytes(), &call); err != nil {
			panic(err)
		}
		fmt.Printf(`{"id": %q, "reward": %v, "extracted": "x"}`+"\n", call.ID, float64(len(call.Response)%5)/5)
	}
}
