package optest

// refMatMulDx is the gradient of x in y = x wᵀ.
//
//	dy [m, n], w [n, k]; returns dx [m, k] = dy w, each sum in increasing row of w
func refMatMulDx[T real](dy, w []T, m, n, k int) []T {
	dx := make([]T, m*k)
	for i := range m {
		refAddProducts(dx[i*k:(i+1)*k], dy[i*n:(i+1)*n], w)
	}
	return dx
}

// refAddProducts adds a[0] b[0], a[1] b[1], ... in turn to sums, with b[i] a row of sums' length.
func refAddProducts[T real](sums, a, b []T) {
	for i, v := range a {
		row := b[i*len(sums):][:len(sums)]
		for c := range sums {
			sums[c] += T(v * row[c])
		}
	}
}

// refMatMulDw adds the gradients of w and bias in y = x wᵀ + bias to dw and db, row by row.
//
//	dy [m, n], x [m, k]; dw [n, k], db [n] or nil: before and, returned, after
func refMatMulDw[T real](dy, x, dw, db []T, m, n, k int) (dwAfter, dbAfter []T) {
	dw, db = append([]T(nil), dw...), append([]T(nil), db...)
	for i := range m {
		for j := range n {
			refAddProducts(dw[j*k:(j+1)*k], dy[i*n+j:][:1], x[i*k:(i+1)*k])
		}
		for j := range db {
			db[j] += dy[i*n+j]
		}
	}
	return dw, db
}
