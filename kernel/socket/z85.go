package socket

import (
	"encoding/binary"
	"errors"
	"strings"
)

const z85Alphabet = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#"

// EncodeZ85 writes bytes, a multiple of four, as Z85 text (ZeroMQ RFC 32).
func EncodeZ85(b []byte) (string, error) {
	if len(b)%4 != 0 {
		return "", errors.New("z85: length is not a multiple of 4")
	}
	var s strings.Builder
	for ; len(b) > 0; b = b[4:] {
		v := binary.BigEndian.Uint32(b)
		for div := uint32(85 * 85 * 85 * 85); div > 0; div /= 85 {
			s.WriteByte(z85Alphabet[v/div%85])
		}
	}
	return s.String(), nil
}

// DecodeZ85 reads Z85 text.
func DecodeZ85(s string) ([]byte, error) {
	if len(s)%5 != 0 {
		return nil, errors.New("z85: length is not a multiple of 5")
	}
	b := make([]byte, 0, len(s)/5*4)
	for ; len(s) > 0; s = s[5:] {
		var v uint64
		for i := range 5 {
			digit := strings.IndexByte(z85Alphabet, s[i])
			if digit < 0 {
				return nil, errors.New("z85: not a Z85 character")
			}
			v = v*85 + uint64(digit)
		}
		if v > 1<<32-1 {
			return nil, errors.New("z85: group is larger than 32 bits")
		}
		b = binary.BigEndian.AppendUint32(b, uint32(v))
	}
	return b, nil
}
