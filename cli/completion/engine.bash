# bash completion for hawse. `hawse completion bash` writes it. It works with and without the bash-completion package.

# Set commands, aliases, flags, arguments and strict for the command line $1.
#   flags: --long[,-s][=source]; * marks a repeatable flag, ! marks a flag that is accepted but not offered
#   arguments: sources in order; ... after the last source repeats it. strict=1: no flags after the first argument.
@TABLES@

# Offer the words that begin with the word typed.
__hawse_words() {
    local word
    for word; do
        [[ $word == "$current"* ]] && found+=("$kept$word")
    done
}

# Offer keys. After a key, offer the values of its source. Arguments: key source key source ...
__hawse_keys() {
    local key current=$current kept=$kept
    local -a keys=()
    while (($# > 1)); do
        if [[ $current == "$1"* ]]; then
            kept+=$1 current=${current#"$1"}
            __hawse_source "$2"
            return
        fi
        keys+=("$1")
        shift 2
    done
    __hawse_words "${keys[@]}"
}

# Complete after the last comma of a list.
__hawse_behind_comma() {
    if [[ $current == *,* ]]; then
        kept+=${current%,*}, current=${current##*,}
    fi
}

# Offer the names of hawse's objects. The words of the line limit them.
__hawse_names() {
    local root=${HAWSE_ROOT:-/var/lib/hawse}
    local store=$root/hawse.db answer=$root/names/$1
    local -a names
    [[ -e $store-wal ]] && store+=-wal
    # A cached answer is valid while the store has not changed since. Answers in a directory of another user are not read.
    if ((!${#given[@]})) && [[ -O $root && -r $answer && ! $answer -nt $store && ! $answer -ot $store ]]; then
        mapfile -t names <"$answer"
    else
        mapfile -t names < <(command hawse __complete "$1" "$place" "${given[@]}" 2>/dev/null)
    fi
    __hawse_words "${names[@]%%$'\t'*}"
}

# Offer paths. Readline completes them.
__hawse_paths() {
    local path paths=$current
    [[ $paths == '~'* ]] && paths=$HOME${paths#'~'}
    [[ $1 == -d && $current != [./~]* ]] && return
    while IFS= read -r path; do
        [[ -d $path ]] && path+=/
        found+=("$kept$path")
    done < <(compgen "$1" -- "$paths")
}

# Offer programs for the first word of a command, and files for the other words.
__hawse_program() {
    local word
    [[ ${arguments[place]} != command ]] && { __hawse_paths -f; return; }
    while IFS= read -r word; do found+=("$word"); done < <(compgen -c -- "$current" | sort -u)
}

# Print the value of a flag, by its long name.
__hawse_value() { printf '%s' "${values[$1]-}"; }

# Split the line into words as the shell does. Sets words and behind (the words before and after the cursor, without
# quotes), current (the word at the cursor), quote (the open quote) and untouched. Untouched is the part of current that
# readline does not replace, because for readline a word also begins after = and :.
__hawse_split() {
    local line=$COMP_LINE char='' word='' started='' at
    words=() behind=() quote='' untouched='' current=''
    for ((at = 0; at <= ${#line}; at++)); do
        if ((at == COMP_POINT)); then
            current=$word word='' started=''
            local left_open=$quote
            [[ ! $quote && ${line:at:1} != [[:space:]] ]] && started=rest
        fi
        char=${line:at:1}
        if [[ $quote ]]; then
            if [[ $char == "$quote" ]]; then
                quote=''
            elif [[ $char == \\ && $quote == '"' && ${line:at+1:1} == [\"\\\$\`] ]]; then
                ((++at)); word+=${line:at:1}
            else
                word+=$char
            fi
        elif [[ ! $char || $char == [[:space:]] ]]; then
            if [[ $started == 1 ]]; then
                if ((at < COMP_POINT)); then words+=("$word"); else behind+=("$word"); fi
            fi
            word='' started=''
            ((at < COMP_POINT)) && untouched=''
        else
            [[ $started ]] || started=1
            case $char in
                \' | \") quote=$char; ((at < COMP_POINT)) && untouched=$word ;;
                \\) ((++at)); word+=${line:at:1} ;;
                *) word+=$char; [[ $COMP_WORDBREAKS == *"$char"* ]] && ((at < COMP_POINT)) && untouched=$word ;;
            esac
        fi
    done
    quote=$left_open
}

# Find a flag of the command. Sets long, source and valued. Fails if the command has no such flag.
__hawse_flag() {
    local entry names
    for entry in $flags; do
        entry=${entry#[*!]}
        names=${entry%%=*}
        if [[ ,$names, == *",$1,"* ]]; then
            long=${names%%,*} source='' valued=''
            [[ $entry == *=* ]] && source=${entry#*=} valued=1
            return 0
        fi
    done
    return 1
}

# Read a group of short flags, such as -itp8080. Sets awaiting if the last flag still needs its value.
__hawse_letters() {
    local letters=${1#-}
    while [[ $letters ]]; do
        __hawse_flag "-${letters:0:1}" || return
        letters=${letters:1}
        if [[ ! $valued ]]; then
            values[$long]=true
        elif [[ $letters ]]; then
            values[$long]=${letters#=} letters=''
        else
            awaiting=$long
        fi
    done
}

# Read one word of the line.
__hawse_read() {
    local word=$1 long source valued
    if [[ $awaiting ]]; then
        values[$awaiting]=$word awaiting=''
    elif [[ $ended || $word != -?* ]]; then
        __hawse_argument "$word"
    elif [[ $word == -- ]]; then
        ended=1
    elif [[ $word == --*=* ]]; then
        __hawse_flag "${word%%=*}" && values[$long]=${word#*=}
    elif [[ $word == --* ]]; then
        __hawse_flag "$word" && if [[ $valued ]]; then awaiting=$long; else values[$long]=true; fi
    else
        __hawse_letters "$word"
    fi
}

# Read a word as a command of the group, or as an argument.
__hawse_argument() {
    local name=$1 pair
    for pair in $aliases; do
        [[ ${pair%%=*} == "$name" ]] && name=${pair#*=}
    done
    if ((!${#given[@]})) && [[ " ${commands//[[:space:]]/ } " == *" $name "* ]]; then
        path=${path:+$path }$name
        __hawse_command "$path"
    else
        given+=("$1")
        [[ $strict ]] && ended=1
    fi
}

# Offer flags that have not been given yet.
__hawse_offer_flags() {
    local entry name
    for entry in $flags; do
        [[ $entry == '!'* ]] && continue
        name=${entry#'*'} name=${name%%[,=]*}
        [[ $entry == '*'* || ! ${values[$name]+given} ]] && __hawse_words "$name"
    done
}

# Offer the commands of a group. Offer an alias only if no name matches.
__hawse_offer_commands() {
    local names=$commands pair
    __hawse_words $names
    if ((!${#found[@]})); then
        for pair in $aliases; do __hawse_words "${pair%%=*}"; done
    fi
}

# Offer all completions that are valid at the cursor.
__hawse_offer() {
    local long source valued
    if [[ $awaiting ]]; then
        __hawse_flag "$awaiting" && __hawse_source "$source"
    elif [[ ! $ended && $current == --*=* ]]; then
        __hawse_flag "${current%%=*}" || return
        kept=${current%%=*}= current=${current#*=}
        if [[ $valued ]]; then __hawse_source "$source"; else __hawse_source bool; fi
    elif [[ ! $ended && $current == -[!-]?* ]]; then
        __hawse_letters "$current"
        [[ $long && $valued && ! $awaiting ]] || return
        kept=${current%"${values[$long]}"} current=${values[$long]}
        __hawse_source "$source"
    elif [[ ! $ended && $current == -* ]]; then
        __hawse_offer_flags
    elif [[ $commands ]]; then
        ((place)) || __hawse_offer_commands
    else
        __hawse_offer_argument
    fi
}

# Offer the completions of the next argument.
__hawse_offer_argument() {
    local -a sources=($arguments)
    local -a arguments=("${sources[@]%...}")
    local last=$((${#sources[@]} - 1))
    if ((place <= last)); then
        __hawse_source "${arguments[place]}"
    elif ((last >= 0)) && [[ ${sources[last]} == *... ]]; then
        __hawse_source "${arguments[last]}"
    fi
}

# Write the words to COMPREPLY as they must be on the line: quoted, and without the part that readline keeps.
__hawse_reply() {
    local word
    COMPREPLY=()
    for word in "${found[@]}"; do
        word=${word#"$untouched"}
        case $quote in
            '')
                # Words with braces, such as templates, are easier to read in quotes than with backslashes.
                if [[ $word == *[{}]* ]]; then
                    word=\'${word//\'/\'\\\'\'}\'
                else
                    printf -v word %q "$word"; word=${word//\\,/,}
                fi
                ;;
            '"')
                # In double quotes, no escape stops history expansion, so words with ! are left out.
                [[ $word == *'!'* && $- == *H* ]] && continue
                word=${word//\\/\\\\} word=${word//\"/\\\"} word=${word//\$/\\\$} word=${word//\`/\\\`}
                ;;
            \') word=${word//\'/\'\\\'\'} ;;
        esac
        # Because readline takes a final quote for the closing quote, a word that ends in one needs another.
        [[ $quote && $word == *"$quote" ]] && word+=$quote
        COMPREPLY+=("$word")
    done
    [[ ${#found[@]} != 1 || ${found[0]} != *[=:,/] ]] || compopt -o nospace
}

_hawse() {
    local -
    set -o noglob  # because the tables have stars, which must not match file names
    local path='' commands='' aliases='' flags='' arguments='' strict='' awaiting='' ended='' place current kept=''
    local quote untouched long='' source='' valued='' word
    local -a words behind given=() found=()
    local -A values=()
    __hawse_split
    __hawse_command ''
    for word in "${words[@]:1}"; do __hawse_read "$word"; done
    place=${#given[@]}
    local wanted=$awaiting was_ended=$ended
    awaiting=''
    for word in "${behind[@]}"; do __hawse_read "$word"; done
    awaiting=$wanted ended=$was_ended
    __hawse_offer
    __hawse_reply
}

# Complete docker where it is an alias of hawse. Elsewhere, put docker's own completion back.
_hawse_docker() {
    if [[ ${BASH_ALIASES[docker]-} =~ (^|[/[:space:]])hawse$ ]]; then
        _hawse
        return
    fi
    complete -r docker
    if [[ $__hawse_docker_before ]]; then
        eval "$__hawse_docker_before"
    elif declare -F _comp_complete_load >/dev/null; then
        _comp_complete_load docker
    elif declare -F _completion_loader >/dev/null; then
        _completion_loader docker
    fi
    return 124  # bash tries again, with the completion that is there now
}

complete -F _hawse hawse
if [[ $(complete -p docker 2>/dev/null) != *_hawse_docker* ]]; then
    __hawse_docker_before=$(complete -p docker 2>/dev/null)
    complete -F _hawse_docker docker
fi
