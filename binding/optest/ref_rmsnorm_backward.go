package optest

// refRMSNormBackward is the gradient of refRMSNorm: with xh = x rstd and g = dy weight, row by row, dx = rstd (g - xh mean(g xh)) and
// dw = sum dy xh; both are added to what is there, if anything is.
//
//	x, dy [rows, cols], weight [cols], rstd [rows]; dx0 [rows, cols] or nil, dw0 [cols] or nil; returns dx [rows, cols], dw [cols]
func refRMSNormBackward[T real](x, weight, rstd, dy, dx0, dw0 []T, rows, cols int) (dx, dw []T) {
	dx, dw = make([]T, rows*cols), make([]T, cols)
	copy(dx, dx0)
	copy(dw, dw0)
	xh, g := make([]T, cols), make([]T, cols)
	for i := range rows {
		for j := range cols {
			at := i*cols + j
			xh[j] = x[at] * rstd[i]
			g[j] = dy[at] * weight[j]
			dw[j] += T(dy[at] * xh[j])
		}
		mean := refDot(g, xh) / T(cols)
		for j := range cols {
			dx[i*cols+j] += T(rstd[i] * (g[j] - T(xh[j]*mean)))
		}
	}
	return dx, dw
}
