//go:build !unix

package reward

import "time"

func cpuTime() time.Duration { return time.Duration(time.Now().UnixNano()) }
