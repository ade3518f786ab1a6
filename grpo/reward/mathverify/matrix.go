package mathverify

// matrix computes sums, products, powers and transposes of matrices, entry by entry, without bringing the entries into normal
// form. errOpaque says that e is no matrix.
func (a *algebra) matrix(e Expr) (*Matrix, error) {
	if err := a.w.spend(4); err != nil {
		return nil, err
	}
	switch x := e.(type) {
	case *Matrix:
		return x, nil
	case *Tuple:
		// [[1,2],[3,4]]
		if x.Left != '[' || x.Right != ']' {
			return nil, errOpaque
		}
		m := &Matrix{Rows: len(x.Items)}
		for _, r := range x.Items {
			row, ok := r.(*Tuple)
			if !ok || row.Left != '[' || row.Right != ']' || m.Cols != 0 && len(row.Items) != m.Cols {
				return nil, errOpaque
			}
			m.Cols = len(row.Items)
			m.Items = append(m.Items, row.Items...)
		}
		return m, nil
	case *Neg:
		m, err := a.matrix(x.X)
		if err != nil {
			return nil, err
		}
		return m.each(func(e Expr) Expr { return &Neg{e} }), nil
	case *Add:
		var sum *Matrix
		for _, t := range x.Terms {
			m, err := a.matrix(t)
			if err != nil {
				return nil, err
			}
			if sum == nil {
				sum = m
				continue
			}
			if sum.Rows != m.Rows || sum.Cols != m.Cols {
				return nil, errDomain
			}
			i := -1
			sum = sum.each(func(e Expr) Expr {
				i++
				return &Add{[]Expr{e, m.Items[i]}}
			})
		}
		return sum, nil
	case *Mul:
		var prod *Matrix
		scalars := &Mul{Den: x.Den}
		for _, t := range x.Num {
			m, err := a.matrix(t)
			if err == errOpaque {
				if some(t, func(e Expr) bool { _, ok := e.(*Matrix); return ok }) {
					if c, ok := t.(*Call); !ok || c.Name != "det" {
						return nil, err
					}
				}
				scalars.Num = append(scalars.Num, t)
				continue
			}
			if err != nil {
				return nil, err
			}
			if prod == nil {
				prod = m
				continue
			}
			if prod, err = a.matMul(prod, m); err != nil {
				return nil, err
			}
		}
		if prod == nil {
			return nil, errOpaque
		}
		if len(scalars.Num) == 0 && len(scalars.Den) == 0 {
			return prod, nil
		}
		if len(scalars.Num) == 0 {
			scalars.Num = []Expr{number(1)}
		}
		return prod.each(func(e Expr) Expr {
			return &Mul{append(scalars.Num[:len(scalars.Num):len(scalars.Num)], e), scalars.Den}
		}), nil
	case *Pow:
		m, err := a.matrix(x.Base)
		if err != nil {
			return nil, err
		}
		q, err := a.norm(x.Exp)
		if err != nil {
			return nil, err
		}
		n, ok := smallInt(q, 6)
		if !ok || m.Rows != m.Cols {
			return nil, errOpaque
		}
		if n < 0 {
			if m, err = inverse(m); err != nil {
				return nil, err
			}
			n = -n
		}
		if n == 0 {
			return nil, errOpaque
		}
		out := m
		for ; n > 1; n-- {
			if out, err = a.matMul(out, m); err != nil {
				return nil, err
			}
		}
		return out, nil
	case *Call:
		if x.Name == "transpose" {
			m, err := a.matrix(x.Args[0])
			if err != nil {
				return nil, err
			}
			t := &Matrix{Rows: m.Cols, Cols: m.Rows}
			for c := range m.Cols {
				for r := range m.Rows {
					t.Items = append(t.Items, m.Items[r*m.Cols+c])
				}
			}
			return t, nil
		}
	}
	return nil, errOpaque
}

func (m *Matrix) each(f func(Expr) Expr) *Matrix {
	out := &Matrix{m.Rows, m.Cols, make([]Expr, len(m.Items))}
	for i, e := range m.Items {
		out.Items[i] = f(e)
	}
	return out
}

func (a *algebra) matMul(x, y *Matrix) (*Matrix, error) {
	if x.Cols != y.Rows {
		return nil, errDomain
	}
	if x.Cols > 8 || x.Rows*y.Cols > 64 {
		return nil, &LimitError{"rows of a product of matrices", 8}
	}
	if err := a.w.spend(x.Rows * x.Cols * y.Cols); err != nil {
		return nil, err
	}
	out := &Matrix{Rows: x.Rows, Cols: y.Cols}
	for r := range x.Rows {
		for c := range y.Cols {
			s := &Add{}
			for k := range x.Cols {
				s.Terms = append(s.Terms, &Mul{[]Expr{x.Items[r*x.Cols+k], y.Items[k*y.Cols+c]}, nil})
			}
			out.Items = append(out.Items, s)
		}
	}
	return out, nil
}

// minor returns m without a row and a column.
func (m *Matrix) minor(row, col int) *Matrix {
	out := &Matrix{Rows: m.Rows - 1, Cols: m.Cols - 1}
	for r := range m.Rows {
		for c := range m.Cols {
			if r != row && c != col {
				out.Items = append(out.Items, m.Items[r*m.Cols+c])
			}
		}
	}
	return out
}

// determinant expands along the first row.
func determinant(m *Matrix) (Expr, error) {
	if m.Rows != m.Cols {
		return nil, errDomain
	}
	if m.Rows > 5 {
		return nil, &LimitError{"rows of a determinant", 5}
	}
	if m.Rows == 1 {
		return m.Items[0], nil
	}
	sum := &Add{}
	for c := range m.Cols {
		d, err := determinant(m.minor(0, c))
		if err != nil {
			return nil, err
		}
		t := Expr(&Mul{[]Expr{m.Items[c], d}, nil})
		if c%2 == 1 {
			t = &Neg{t}
		}
		sum.Terms = append(sum.Terms, t)
	}
	return sum, nil
}

func inverse(m *Matrix) (*Matrix, error) {
	if m.Rows > 3 {
		return nil, &LimitError{"rows of an inverse", 3}
	}
	det, err := determinant(m)
	if err != nil {
		return nil, err
	}
	out := &Matrix{Rows: m.Rows, Cols: m.Cols}
	for r := range m.Rows {
		for c := range m.Cols {
			d := Expr(number(1))
			if m.Rows > 1 {
				if d, err = determinant(m.minor(c, r)); err != nil {
					return nil, err
				}
			}
			if (r+c)%2 == 1 {
				d = &Neg{d}
			}
			out.Items = append(out.Items, &Mul{[]Expr{d}, []Expr{det}})
		}
	}
	return out, nil
}
