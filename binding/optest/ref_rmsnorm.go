package optest

import "math"

// refRMSNorm is y = x rstd weight with rstd = 1/sqrt(mean x² + eps), row by row (Zhang and Sennrich 2019).
//
//	x [rows, cols], weight [cols]; returns y [rows, cols], rstd [rows]
func refRMSNorm[T real](x, weight []T, rows, cols int, eps T) (y, rstd []T) {
	y, rstd = make([]T, rows*cols), make([]T, rows)
	for i := range rows {
		row := x[i*cols : (i+1)*cols]
		rstd[i] = 1 / T(math.Sqrt(float64(refDot(row, row)/T(cols)+eps)))
		for j, v := range row {
			y[i*cols+j] = T(v*rstd[i]) * weight[j]
		}
	}
	return y, rstd
}
