package mathverify

import (
	"bufio"
	"fmt"
	"os"
	"testing"
)

func TestTry(t *testing.T) {
	f, err := os.Open("/tmp/try.txt")
	if err != nil {
		t.Skip()
	}
	sc := bufio.NewScanner(f)
	for sc.Scan() {
		e, err := Parse(sc.Text())
		if err != nil {
			fmt.Println(sc.Text(), "  ERR", err)
			continue
		}
		fmt.Printf("%s   =>  %s  %T\n", sc.Text(), e, e)
	}
}
