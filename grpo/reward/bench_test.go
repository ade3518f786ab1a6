package reward

import "testing"

// BenchmarkScore times a verdict of each type that needs no service.
func BenchmarkScore(b *testing.B) {
	g, err := New(Config{})
	if err != nil {
		b.Fatal(err)
	}
	const thought = "<think>\nFirst I look at the picture, and then I think about what I see.\n</think>\n"
	for _, bb := range []struct {
		name     string
		record   Record
		response string
	}{
		{"digit", Record{Type: Digit, Gold: "3"}, "<answer>3.</answer>"},
		{"mcq/letter", Record{Type: MCQ, Gold: "B", Options: colours}, `<answer>\boxed{\text{B}}</answer>`},
		{"mcq/text", Record{Type: MCQ, Gold: "C", Options: colours}, "<answer>I believe that the colour is dark red.</answer>"},
		{"iou", Record{Type: IoU, Gold: "[0.1, 0.2, 0.3, 0.4]", ImageSize: [2]int{480, 640}, ResizedSize: [2]int{476, 644}},
			"<answer>```json\n[{\"bbox_2d\": [64, 96, 192, 190], \"label\": \"car 2\"}]\n```</answer>"},
	} {
		b.Run(bb.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if x, err := g.Score(b.Context(), &bb.record, thought+bb.response); err != nil || x.Score == 0 {
					b.Fatal(x, err)
				}
			}
		})
	}
}
