package mathverify

import (
	"math/big"
	"strings"
)

// The base dimensions of a Unit.
const (
	dimLength = iota
	dimMass
	dimTime
	dimMoney // of one currency each: the scale of a currency is its own
	dimTemperature
	dimCurrent
	dims
)

// A Unit is what a number is counted in: Scale of the base units to the powers Dims.
type Unit struct {
	Name     string
	Dims     [dims]int8
	Scale    *big.Rat
	Currency string // of money
}

// same reports whether two units measure the same thing.
func (u Unit) same(v Unit) bool { return u.Dims == v.Dims && u.Currency == v.Currency }

func unit(name string, dim int, power int8, num, den int64) (Unit, bool) {
	u := Unit{Name: name, Scale: big.NewRat(num, den)}
	u.Dims[dim] = power
	return u, true
}

// unitNamed knows a unit by its symbol or its English name.
func unitNamed(s string) (Unit, bool) {
	if len(s) > 12 {
		return Unit{}, false
	}
	switch s {
	case "m", "meter", "meters", "metre", "metres":
		return unit("m", dimLength, 1, 1, 1)
	case "mm", "millimeter", "millimeters":
		return unit("mm", dimLength, 1, 1, 1000)
	case "cm", "centimeter", "centimeters", "centimetre", "centimetres":
		return unit("cm", dimLength, 1, 1, 100)
	case "dm", "decimeter", "decimeters":
		return unit("dm", dimLength, 1, 1, 10)
	case "km", "kilometer", "kilometers", "kilometre", "kilometres":
		return unit("km", dimLength, 1, 1000, 1)
	case "in", "inch", "inches":
		return unit("in", dimLength, 1, 254, 10000)
	case "ft", "foot", "feet":
		return unit("ft", dimLength, 1, 3048, 10000)
	case "yd", "yard", "yards":
		return unit("yd", dimLength, 1, 9144, 10000)
	case "mi", "mile", "miles":
		return unit("mi", dimLength, 1, 1609344, 1000)
	case "g", "gram", "grams":
		return unit("g", dimMass, 1, 1, 1)
	case "mg", "milligrams":
		return unit("mg", dimMass, 1, 1, 1000)
	case "kg", "kilogram", "kilograms":
		return unit("kg", dimMass, 1, 1000, 1)
	case "lb", "lbs", "pound", "pounds":
		return unit("lb", dimMass, 1, 45359237, 100000)
	case "oz", "ounce", "ounces":
		return unit("oz", dimMass, 1, 45359237, 1600000)
	case "s", "sec", "secs", "second", "seconds":
		return unit("s", dimTime, 1, 1, 1)
	case "ms", "milliseconds":
		return unit("ms", dimTime, 1, 1, 1000)
	case "min", "mins", "minute", "minutes":
		return unit("min", dimTime, 1, 60, 1)
	case "h", "hr", "hrs", "hour", "hours":
		return unit("h", dimTime, 1, 3600, 1)
	case "day", "days":
		return unit("day", dimTime, 1, 86400, 1)
	case "week", "weeks":
		return unit("week", dimTime, 1, 604800, 1)
	case "L", "l", "liter", "liters", "litre", "litres":
		return unit("L", dimLength, 3, 1, 1000)
	case "mL", "ml", "milliliter", "milliliters":
		return unit("mL", dimLength, 3, 1, 1000000)
	case "mph":
		u, _ := unit("mph", dimLength, 1, 1609344, 3600000)
		u.Dims[dimTime] = -1
		return u, true
	case "kmh", "kph":
		u, _ := unit("km/h", dimLength, 1, 1000, 3600)
		u.Dims[dimTime] = -1
		return u, true
	case "N", "newton", "newtons":
		return Unit{"N", [dims]int8{1, 1, -2}, big.NewRat(1000, 1), ""}, true
	case "J", "joule", "joules":
		return Unit{"J", [dims]int8{2, 1, -2}, big.NewRat(1000, 1), ""}, true
	case "W", "watt", "watts":
		return Unit{"W", [dims]int8{2, 1, -3}, big.NewRat(1000, 1), ""}, true
	case "V", "volt", "volts":
		return Unit{"V", [dims]int8{2, 1, -3, 0, 0, -1}, big.NewRat(1000, 1), ""}, true
	case "Hz", "hertz":
		return unit("Hz", dimTime, -1, 1, 1)
	case "K", "kelvin":
		return unit("K", dimTemperature, 1, 1, 1)
	case "A", "ampere", "amperes":
		return unit("A", dimCurrent, 1, 1, 1)
	case "$", "dollar", "dollars", "USD", "usd":
		return money("$", 1, 1)
	case "cent", "cents":
		return money("$", 1, 100)
	case "€", "euro", "euros", "EUR", "Euro", "Euros":
		return money("€", 1, 1)
	case "£", "GBP":
		return money("£", 1, 1)
	case "¥", "yen", "yuan":
		return money(s, 1, 1)
	case "₹", "rupee", "rupees":
		return money("₹", 1, 1)
	}
	return Unit{}, false
}

func money(currency string, num, den int64) (Unit, bool) {
	u, ok := unit(currency, dimMoney, 1, num, den)
	u.Currency = currency
	return u, ok
}

// times returns the unit u * v^p.
func (u Unit) times(v Unit, p int) Unit {
	if p < -6 || p > 6 {
		p = 6
	}
	scale := new(big.Rat).SetInt64(1)
	if u.Scale != nil {
		scale.Set(u.Scale)
	}
	for i := range u.Dims {
		u.Dims[i] += v.Dims[i] * int8(p)
	}
	for range max(p, -p) {
		if p > 0 {
			scale.Mul(scale, v.Scale)
		} else {
			scale.Quo(scale, v.Scale)
		}
	}
	u.Scale = scale
	switch {
	case p < 0:
		u.Name += "/"
	case u.Name != "":
		u.Name += "·"
	}
	u.Name += v.Name
	if p != 1 && p != -1 {
		u.Name += "^" + string(rune('0'+max(p, -p)))
	}
	if v.Currency != "" {
		u.Currency = v.Currency
	}
	return u
}

// unitPhrase understands "cm", "square inches", "km/h", "cubic meters", "cm^2", "meters per second". Anything else is unknown.
func unitPhrase(s string) (Unit, bool) {
	s = strings.NewReplacer("{", "", "}", "", "~", " ", `\`, " ", "²", "^2", "³", "^3", "/", " / ", "^", " ^ ", "$", " $ ", ".", " ", "*", " ", "·", " ").Replace(s)
	fields := strings.Fields(s)
	if len(fields) == 0 || len(fields) > 9 {
		return Unit{}, false
	}
	var u Unit
	sign, power := 1, 1
	for i := 0; i < len(fields); i++ {
		switch f := fields[i]; f {
		case "per", "/":
			sign, power = -1, 1
		case "square", "sq", "squared":
			power = 2
		case "cubic", "cu":
			power = 3
		default:
			v, ok := unitNamed(f)
			if !ok {
				for _, head := range [...]string{"square", "cubic", "sq"} {
					if rest, found := strings.CutPrefix(f, head); found {
						if v, ok = unitNamed(rest); ok {
							power = 2
							if head == "cubic" {
								power = 3
							}
						}
					}
				}
			}
			if !ok {
				return Unit{}, false
			}
			if i+2 < len(fields) && fields[i+1] == "^" && len(fields[i+2]) == 1 && isDigit(fields[i+2][0]) {
				power = int(fields[i+2][0] - '0')
				i += 2
			}
			if i+1 < len(fields) && fields[i+1] == "squared" {
				power = 2
				i++
			}
			u = u.times(v, sign*power)
			sign, power = 1, 1
		}
	}
	if u.Scale == nil {
		return Unit{}, false
	}
	return u, true
}
