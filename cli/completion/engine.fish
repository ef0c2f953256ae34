# fish completion for hawse. `hawse completion fish` writes it.

# For each command: the flags that take a value, with its source, and the aliases of its commands.
@TABLES@

# Read the line up to the cursor, once for each TAB. Sets __hawse_path (the command), __hawse_given (its arguments),
# __hawse_behind (words after the cursor), __hawse_values (--flag=value), and __hawse_awaiting (a flag that needs a value).
function __hawse_read
    set -l before (commandline -opc)
    set -l all (commandline -op)
    set -l key (string escape -- $before / $all)
    test "$key" = "$__hawse_key"; and return
    set -g __hawse_key $key
    set -g __hawse_path ''
    set -g __hawse_given
    set -g __hawse_values
    set -l behind (math (count $before) + 1)
    test -n "$(commandline -t)"; and set behind (math $behind + 1)
    set -g __hawse_behind (string match -v -- '-*' $all[$behind..])
    set -l awaiting
    set -l ended
    set -l valued (__hawse_valued '')
    for word in $before[2..]
        if set -q awaiting[1]
            set -a __hawse_values "$awaiting[1]=$word"
            set awaiting
        else if set -q ended[1]; or not string match -qr -- '^-.' $word
            __hawse_take $word
            set valued (__hawse_valued $__hawse_path)
            contains -- $__hawse_path $__hawse_strict; and set -q __hawse_given[1]; and set ended 1
        else if test "$word" = --
            set ended 1
        else if string match -q -- '--*=*' $word
            set -a __hawse_values $word
        else if string match -q -- "$word=*" $valued
            set awaiting $word
        else if not string match -q -- '--*' $word
            for place in (seq 2 (string length -- $word))
                set -l letter -(string sub -s $place -l 1 -- $word)
                string match -q -- "$letter=*" $valued; or continue
                set -l rest (string sub -s (math $place + 1) -- $word)
                test -n "$rest"; and set -a __hawse_values "$letter=$rest"; or set awaiting $letter
                break
            end
        end
    end
    set -g __hawse_awaiting $awaiting
end

# Read a word as a command of the group, or as an argument.
function __hawse_take
    set -l name (__hawse_alias $__hawse_path $argv[1])
    if not set -q __hawse_given[1]; and contains -- (string trim -- "$__hawse_path $name") $__hawse_paths
        set -g __hawse_path (string trim -- "$__hawse_path $name")
    else
        set -ga __hawse_given $argv[1]
    end
end

# Return whether the current command is one of the arguments, and takes flags at the cursor.
function __hawse_flags_of
    __hawse_read
    contains -- "$__hawse_path" $argv; or return 1
    not contains -- "$__hawse_path" $__hawse_strict; or not set -q __hawse_given[1]
end

# Return whether the current command is one of the arguments after PLACE, and the cursor is at its argument PLACE. The
# first argument of a command is 0. With + after the number, all further arguments of the command count too.
function __hawse_argument_of --argument-names place
    __hawse_read
    contains -- "$__hawse_path" $argv[2..]; and not set -q __hawse_awaiting[1]; or return 1
    set -l at (count $__hawse_given)
    string match -q -- '*+' $place; and test $at -ge (string trim -c + -- $place); or test "$at" = "$place"
end

# Return whether the next word is the value of a flag. fish knows this for most flags, but not after short flags that
# take a value in another command.
function __hawse_awaits
    __hawse_read
    set -q __hawse_awaiting[1]
end

# Offer the values of the flag that needs one.
function __hawse_offer_awaited
    __hawse_read
    __hawse_offer (string replace -rf -- "^$__hawse_awaiting=" '' (__hawse_valued $__hawse_path))
end

# Return whether none of the arguments begins with the word typed. Only then are aliases of commands offered.
function __hawse_none_of
    set -l typed (commandline -ct)
    test -n "$typed"; and not string match -q -- (string escape --style=regex -- $typed) ''
    and not string match -rq -- '^'(string escape --style=regex -- $typed) $argv
end

# Print the value typed so far: the word without its flag and its quotes.
function __hawse_typed
    set -l word (commandline -ct)
    set word (string replace -r -- '^(--[a-z0-9-]+=|-[a-zA-Z])' '' $word)
    set -l plain (string unescape -- $word 2>/dev/null)
    and printf '%s\n' $plain
    or string replace -r -- '^["\']' '' $word
end

# Print the end of the typed value, which the completion replaces. $__hawse_kept is the beginning, which it keeps.
function __hawse_rest
    string sub -s (math (string length -- $__hawse_kept) + 1) -- (__hawse_typed)
end

# Print the value of a flag, by its names.
function __hawse_value
    __hawse_read
    for name in $argv
        string replace -f -- "$name=" '' $__hawse_values
    end | tail -n 1
end

# Put a template without quotes into quotes on the line, because fish would escape its braces. If only one word begins
# like the template, complete it. A value that is still empty gets an open quote, if it may become a template.
function __hawse_quote_template
    set -l empty (string match -r -- '^(?:--[a-z0-9-]+=)?$' (commandline -ct))
    if test $status -eq 0
        string match -q -- '{*' $argv; and commandline -t -- "$empty'"
        return 1
    end
    set -l parts (string match -rg -- '^(--[a-z0-9-]+=|-[a-zA-Z])?(\{.*)$' (commandline -ct)); or return
    set -l flag $parts[..-2]
    set -l fitting
    for word in (string split -f 1 \t -- $argv)
        test "$(string sub -l (string length -- $parts[-1]) -- $word)" = $parts[-1]; and set -a fitting $word
    end
    test (count $fitting) -gt 0; or return
    if test (count $fitting) -eq 1
        commandline -t -- "$flag'$fitting' "
    else
        commandline -t -- "$flag'$parts[-1]"
    end
end

# Offer words with descriptions, one a line.
function __hawse_words
    __hawse_quote_template $argv; and return
    printf "%s\n" $__hawse_kept$argv
end

# Offer keys. After a key, offer the values of its source. Arguments: key source description key source description ...
function __hawse_keys
    set -l typed (__hawse_rest)
    for place in (seq 1 3 (count $argv))
        set -l key $argv[$place]
        if test "$(string sub -l (string length -- $key) -- $typed)" = $key
            set -l outer $__hawse_kept
            set -g __hawse_kept $__hawse_kept$key
            __hawse_source $argv[(math $place + 1)]
            set -g __hawse_kept $outer
            return
        end
    end
    for place in (seq 1 3 (count $argv))
        set -l text $argv[(math $place + 2)]
        test -n "$text"; and __hawse_words $argv[$place]\t$text; or __hawse_words $argv[$place]
    end
end

# Complete after the last comma of a list.
function __hawse_behind_comma
    set -g __hawse_kept "$(string match -r -- '^.*,' (__hawse_typed))"
end

# Ask hawse for the names of its objects. The words of the line limit them.
function __hawse_names
    __hawse_read
    set -l root $HAWSE_ROOT /var/lib/hawse
    set -l store $root[1]/hawse.db
    set -l answer $root[1]/names/$argv[1]
    test -e $store-wal; and set store $store-wal
    # A cached answer is valid while the store has not changed since. Answers in a directory of another user are not read.
    if not count $__hawse_given $__hawse_behind >/dev/null
        and test -O $root[1]; and test -r $answer; and not test $answer -nt $store; and not test $answer -ot $store
        __hawse_words (string match -- '*' <$answer)
    else
        __hawse_words (command hawse __complete $argv[1] (count $__hawse_given) $__hawse_given $__hawse_behind 2>/dev/null)
    end
end

# Offer paths.
function __hawse_files
    __hawse_words (__fish_complete_path (__hawse_rest))
end

# Offer directories, if the word begins like a path.
function __hawse_directories
    string match -q -r -- '^[./~]' (__hawse_rest); and __fish_complete_directories (__hawse_rest)
end

# Complete a command line of another program.
function __hawse_program
    complete -C"$(string join ' ' -- (string escape -- $__hawse_given[2..]) (commandline -ct))"
end

# Offer the values of a source.
function __hawse_offer
    __hawse_read
    set -g __hawse_kept ''
    __hawse_source $argv[1]
end

# Where docker is an alias of hawse, drop the completion that another program has set for docker.
if functions -q docker; and functions docker | string match -qr '^\s*hawse \$argv'
    complete -e -c docker
end
