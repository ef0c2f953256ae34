#compdef hawse
# zsh completion for hawse. `hawse completion zsh` writes it.

# Complete a command. Its flags and arguments are specifications of _arguments.
_hawse_leaf() {
  local line spec
  local -A opt_args
  local -a specs
  # Flags are offered only for a word that begins with -. With !, a flag is known but not offered.
  for spec; do
    [[ $PREFIX != -* && $spec != (-A|-\*) && $spec == (\(|-|\*-)* ]] && spec="!$spec"
    specs+=("$spec")
  done
  _arguments -s -S "$specs[@]"
}

# Complete a group. Arguments: its name, then the specifications of its flags. The caller sets the arrays verbs and
# others. They are not called commands and aliases, because these names would hide zsh's own arrays.
_hawse_group() {
  local name=$1 curcontext=$curcontext state line
  local -A opt_args
  shift
  _arguments -C -s -S -A '-*' "$@" '1: :->command' '*:: :->rest' && return
  case $state in
    command)
      # An alias of a command is offered only if no name matches.
      _describe -t commands "hawse${name:+ }$name command" verbs ||
        _describe -t aliases "hawse${name:+ }$name command" others
      ;;
    rest)
      local word=${words[1]} pair
      for pair in $others; do [[ ${pair%%:*} == $word ]] && word=${${pair#*:}#same as }; done
      (( ${verbs[(I)${(b)word}:*]} )) && _hawse_command ${name:+$name }$word
      ;;
  esac
}

# Offer words with descriptions: word:description ...
_hawse_words() {
  local -a found braced
  local item word typed=${words[CURRENT]#$IPREFIX}
  # Without quotes, zsh keeps the braces at the beginning of the word and completes the text after them.
  [[ -z $compstate[quote] && $typed == \{*$PREFIX ]] && typed=${typed%$PREFIX} || typed=
  for item; do
    word=${item%%:*}
    if [[ -n $typed ]]; then
      [[ $word == ${(b)typed}${(b)PREFIX}* && $word != *' '* ]] && braced+=("${item#$typed}")
    elif [[ $item != \{* || -n $compstate[quote] ]]; then
      found+=("$item")
    elif [[ $word == ${(b)${(Q)PREFIX}}* ]]; then
      braced+=("'$word'${item#$word}")  # zsh would put a backslash before each brace
    fi
  done
  local shown=1
  (( $#found )) && _describe -t values value found && shown=0
  (( $#braced )) && _describe -t templates template braced -U -Q -S ' ' -i "$IPREFIX" && shown=0
  return shown
}

# Offer keys. After a key, offer the values of its source. Arguments: key source description key source description ...
_hawse_keys() {
  local key source text
  local -a keys
  for key source text; do
    if [[ $PREFIX == ${key}* ]]; then
      compset -P ${(b)key}
      _hawse_source_$source
      return
    fi
    keys+=("${key//:/\\:}${text:+:$text}")
  done
  _describe -t keys key keys -S ''
}

# Print the cached answer if the store has not changed since, else ask hawse. Answers in a directory of another user are
# not read.
_hawse_ask() {
  local root=${HAWSE_ROOT:-/var/lib/hawse}
  local store=$root/hawse.db answer=$root/names/$1
  [[ -e $store-wal ]] && store+=-wal
  if (( $#before + $#behind == 0 )) && [[ -O $root && -r $answer && ! $answer -nt $store && ! $answer -ot $store ]]; then
    print -r -- "$(<$answer)"
  else
    command hawse __complete $1 $#before $before $behind 2>/dev/null
  fi
}

# Ask hawse for the names of its objects. The other words of the line limit them.
_hawse_names() {
  local -a found before behind
  local text name
  before=(${(Q)line[1,-2]}) behind=(${(Q)${words[CURRENT + 1,-1]}:#-*})
  for text in ${(f)"$(_hawse_ask $1)"}; do
    name=${${${text%%$'\t'*}//\\/\\\\}//:/\\:}
    found+=($name:${text#*$'\t'})
  done
  _describe -t names name found
}

# Offer directories, if the word begins like a path.
_hawse_directories() {
  [[ $PREFIX == [./~]* ]] && _directories
}

# Complete a command line of another program.
_hawse_program() {
  if (( CURRENT == 1 )); then _normal -p hawse; else _normal; fi
}

@TABLES@

if [[ $zsh_eval_context[-1] == loadautofunc ]]; then
  _hawse "$@"
else
  compdef _hawse hawse
fi
