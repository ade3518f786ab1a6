package chat

import (
	"errors"
	"fmt"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/thinker-vl/thinker/engine/internal/rawjson"
)

// ResolveImage returns the path of a picture that is absolute or relative to the
// folder base. URLs are refused: nothing is downloaded, and no file is embedded.
func ResolveImage(base, path string) (string, error) {
	if err := checkPath(path); err != nil {
		return "", fmt.Errorf("chat: %w", err)
	}
	if filepath.IsAbs(path) {
		return filepath.Clean(path), nil
	}
	return filepath.Join(base, path), nil
}

// url matches what begins with a scheme. A lone "x:" may be a file's name or a
// drive, so without slashes only schemes that come so are taken for one.
var url = regexp.MustCompile(`(?i)^([a-z][a-z0-9+.-]*://|(data|file|http|https|blob):)`)

func checkPath(path string) error {
	switch {
	case path == "":
		return errors.New("a picture has no path")
	case strings.ContainsRune(path, 0):
		return fmt.Errorf("the path %s of a picture has a zero byte", rawjson.Quote(path))
	case url.MatchString(path):
		return fmt.Errorf("the picture %s is a URL, want the path of a file", rawjson.Quote(path))
	}
	return nil
}
