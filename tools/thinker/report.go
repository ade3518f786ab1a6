package main

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/thinker-vl/thinker/grpo/report"
)

func (a *app) reportCommand() *cobra.Command {
	var out, title string
	var roots []string
	c := &cobra.Command{
		Use:   "report RUN [--out FILE]",
		Short: "Write a run's report: one HTML file with curves, metrics and completions beside their pictures",
		Long: `Write a run's report: one HTML file without references to others, with curves, a table of metrics before and after, and completions
beside their pictures with predicted and true boxes. RUN is the folder of train, sft or eval, also of a run that is under way. The
file's path is written to standard output.`,
		Example: `  thinker report runs/paper`,
		Args: func(c *cobra.Command, args []string) error {
			if len(args) != 1 {
				return usagef("report takes one run's folder")
			}
			return nil
		},
		RunE: func(_ *cobra.Command, args []string) error {
			fi, err := os.Stat(args[0])
			if err != nil {
				return err
			}
			if !fi.IsDir() {
				return fmt.Errorf("%s is no folder: want a run's", args[0])
			}
			path := out
			if path == "" {
				path = filepath.Join(args[0], reportFile)
			}
			if err := report.WriteFile(path, args[0], report.Options{Title: title, Roots: roots}); err != nil {
				return err
			}
			_, err = fmt.Fprintln(a.stdout, path)
			return err
		},
	}
	c.Flags().StringVar(&out, "out", "", "file to write; report.html in the run's folder when left out")
	c.MarkFlagFilename("out", "html")
	c.Flags().StringVar(&title, "title", "", "the page's title")
	c.Flags().StringArrayVar(&roots, "root", nil, "folder that pictures may come from, any when left out; may be repeated")
	return c
}
