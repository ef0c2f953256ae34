#compdef hawse
# zsh completion for hawse. Made by `hawse completion zsh`.

# Complete a command: flags and arguments in the words of _arguments.
_hawse_leaf() {
  local line
  local -A opt_args
  _arguments -s -S "$@"
}

# Complete a group: name, then the specifications of its flags. The arrays verbs and others are the caller's
# (commands and aliases would hide zsh's own).
_hawse_group() {
  local name=$1 curcontext=$curcontext state line
  local -A opt_args
  shift
  _arguments -C -s -S -A '-*' "$@" '1: :->command' '*:: :->rest' && return
  case $state in
    command)
      # Another name of a command is offered only where no name fits.
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
  local -a found=("$@")
  _describe -t values value found
}

# Offer keys, or, behind a key, what its source offers. Arguments: key source key source ...
_hawse_keys() {
  local key source
  local -a keys
  for key source; do
    if [[ $PREFIX == ${key}* ]]; then
      compset -P ${(b)key}
      _hawse_source_$source
      return
    fi
    keys+=(${key//:/\\:})
  done
  _describe -t keys key keys -S ''
}

# What hawse has answered before, as long as nothing has been written into its store since; else what it says now.
# In a directory of another user it is not read.
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

# Ask hawse for the names of its objects; the words of the line, without this one, say which ones.
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

# Offer directories, once it looks as if one were wanted.
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
