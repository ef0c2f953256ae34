"""Go's format strings, as ``printf`` in templates uses them."""

import pytest

from cli.gotemplate import Template


@pytest.mark.parametrize(
    ("arguments", "output"),
    [
        ('"%d %5d|%-5d|%05d|%+d|% d" 42 42 42 42 42 42', "42    42|42   |00042|+42| 42"),
        (
            '"%x %X %#x %o %#o %O %b %c %q %U %#U" 255 255 255 8 8 8 5 65 65 65 65',
            "ff FF 0xff 10 010 0o10 101 A 'A' U+0041 U+0041 'A'",
        ),
        ('"%.3d|%8.3d|%08.3d|%.0d|" 7 7 7 0', "007|     007|     007||"),
        (
            '"%e %f %g %.2f %8.2f|%-8.2f|%+.1e" 1234.5 1234.5 1234.5 1234.5 1234.5 1234.5 1234.5',
            "1.234500e+03 1234.500000 1234.5 1234.50  1234.50|1234.50 |+1.2e+03",
        ),
        ('"%x %b %#g %#.3g" 1.5 1.5 1.0 1.0', "0x1.8p+00 6755399441055744p-52 1.00000 1.00"),
        (
            '"%s|%5s|%-5s|%.1s|%q|%x|% X|%#x" "ab" "ab" "ab" "ab" "ab" "ab" "ab" "ab"',
            'ab|   ab|ab   |a|"ab"|6162|61 62|0x6162',
        ),
        ('"%q %+q %#q" "h\\u00e9\\n\\xff" "h\\u00e9" "h\\u00e9"', '"h\u00e9\\n\\xff" "h\\u00e9" `h\u00e9`'),
        ('"%s %x" "a\udcff" `a\udcff`', "a\ufffd 61ff"),
        ('"%t %v %T %p" true nil 1.5 5', "true <nil> float64 %!p(int=5)"),
        (
            '"%v %+v %#v %T" (split "a b" " ") (split "a b" " ") (split "a b" " ") (split "a b" " ")',
            '[a b] [a b] []string{"a", "b"} []string',
        ),
        ('"%d" "str"', "%!d(string=str)"),
        ('"%s" 5', "%!s(int=5)"),
        ('"%z %!" 1', "%!z(int=1) %!!(MISSING)"),
        ('"%s"', "%!s(MISSING)"),
        ('"a" 1 "x" nil', "a%!(EXTRA int=1, string=x, <nil>)"),
        ('"abc%"', "abc%!(NOVERB)"),
        ('"%[2]d %[1]d" 1 2', "2 1"),
        ('"%[3]d %[x]d %[1]5d" 1', "%!d(BADINDEX) %!d(BADINDEX) %!d(BADINDEX)"),
        ('"%*d|%-*d|%*d|" 5 42 5 42 -5 42', "   42|42   |42   |"),
        ('"%*d" "x" 3', "%!(BADWIDTH)3"),
        ('"%.*d" -1 3', "%!(BADPREC)3"),
        ('"%*d" 1000001 3', "%!(BADWIDTH)3"),
        ('"%99999999d" 1', "%!(NOVERB)%!(EXTRA int=1)"),
    ],
)
def test_printf_formats_as_in_go(arguments, output):
    assert Template("{{printf " + arguments + "}}").execute(None) == output
