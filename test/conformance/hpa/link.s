// This empty file lets the functions of link.go have no body.
