// Prints what Go's archive/tar reads of many tars, for the test that compares it with ours (archive/tar/src/fuzz.rs).
//
// Standard input has the tars one after the other, each behind its length, eight bytes in little-endian order.
// Each member is a line: typeflag, mode, uid, gid, size, mtime, device numbers, then name, link, user, group, attributes
// and the SHA-256 of the contents in base 16. A tar ends with a line: "end", or "error" where it cannot be read.
package main

import (
	"archive/tar"
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"sort"
	"strings"
)

// Contents of more bytes are passed over.
const most = 1 << 20

func main() {
	input, output := bufio.NewReader(os.Stdin), bufio.NewWriter(os.Stdout)
	for {
		var length uint64
		if binary.Read(input, binary.LittleEndian, &length) != nil {
			break
		}
		archive := make([]byte, length)
		if _, err := io.ReadFull(input, archive); err != nil {
			panic(err)
		}
		if members(archive, output) == nil {
			fmt.Fprintln(output, "end")
		} else {
			fmt.Fprintln(output, "error")
		}
	}
	if err := output.Flush(); err != nil {
		panic(err)
	}
}

func members(archive []byte, output io.Writer) error {
	reader := tar.NewReader(bytes.NewReader(archive))
	for {
		header, err := reader.Next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		// As docker does with each member. A file that has no bytes must be written to learn that it has a good name.
		if err := tar.NewWriter(io.Discard).WriteHeader(header); err != nil {
			return err
		}
		sum := sha256.New()
		if header.Size <= most {
			if _, err := io.Copy(sum, reader); err != nil {
				return err
			}
		}
		// A global header has no time, which for Go is the year 1.
		seconds := int64(0)
		if !header.ModTime.IsZero() {
			seconds = header.ModTime.Unix()
		}
		fmt.Fprintf(output, "%d %d %d %d %d %d %d %d %x,%x,%x,%x,%s %x\n", header.Typeflag, header.Mode, header.Uid,
			header.Gid, header.Size, seconds, header.Devmajor, header.Devminor, header.Name,
			header.Linkname, header.Uname, header.Gname, attributes(header), sum.Sum(nil))
	}
}

func attributes(header *tar.Header) string {
	var found []string
	for name, value := range header.Xattrs {
		found = append(found, fmt.Sprintf("%x=%x", name, value))
	}
	sort.Strings(found)
	return strings.Join(found, ";")
}
