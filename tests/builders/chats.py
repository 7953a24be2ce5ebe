"""Chat templates in the forms of many families, written anew for these tests."""

CHATML = """{% for message in messages %}
{% if loop.first and message.role != 'system' %}
{{ '<|im_start|>system\\nYou help.<|im_end|>\\n' }}
{% endif %}
{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n' }}
{% endfor %}
{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"""

LLAMA_2 = """{% if messages[0]['role'] == 'system' %}
{% set rest = messages[1:] %}{% set system = messages[0]['content'] %}
{% else %}{% set rest = messages %}{% set system = false %}{% endif %}
{% for message in rest %}
{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}
{{ raise_exception('Roles have to alternate: user, assistant, user') }}
{% endif %}
{% if loop.index0 == 0 and system != false %}
{% set content = '<<SYS>>\\n' + system + '\\n<</SYS>>\\n\\n' + message['content'] %}
{% else %}{% set content = message['content'] %}{% endif %}
{% if message['role'] == 'user' %}{{ bos_token + '[INST] ' + content | trim + ' [/INST]' }}
{% else %}{{ ' ' + content | trim + ' ' + eos_token }}{% endif %}
{% endfor %}"""

LLAMA_3 = """{{- bos_token }}
{%- if not date_string is defined %}
    {%- set date_string = strftime_now("%d %b %Y") %}
{%- endif %}
{%- set system = "" if messages[0].role != "system" else messages[0].content | trim %}
{{- "<|header|>system<|/header|>\\n\\nToday: " ~ date_string ~ "\\n" ~ system ~ "</s>" }}
{%- for message in messages if message.role != "system" %}
    {{- "<|header|>" + message.role + "<|/header|>\\n\\n" + message.content | trim + "</s>" }}
{%- endfor %}
{%- if add_generation_prompt %}{{- "<|header|>assistant<|/header|>\\n\\n" }}{%- endif %}"""

MISTRAL = """{%- set ns = namespace(index=0) %}
{{- bos_token }}
{%- for message in messages %}
    {%- if message.role == "user" %}
        {%- if ns.index % 2 %}{{- raise_exception("After a user comes the assistant") }}{%- endif %}
        {{- "[INST] " + message.content + "[/INST]" }}
    {%- elif message.role == "assistant" %}{{- " " + message.content + eos_token }}
    {%- else %}{{- raise_exception("Only user and assistant speak here") }}{%- endif %}
    {%- set ns.index = ns.index + 1 %}
{%- endfor %}"""

GEMMA = """{{ bos_token }}{% if messages[0]['role'] == 'system' %}
{{ raise_exception('There is no system role') }}{% endif %}
{% for message in messages %}
{% set role = 'model' if message['role'] == 'assistant' else message['role'] %}
{{ '<|turn|>' + role + '\\n' + message['content'] | trim + '<|/turn|>\\n' }}
{% endfor %}{% if add_generation_prompt %}{{ '<|turn|>model\\n' }}{% endif %}"""

PHI_3 = """{% for message in messages %}{% if message['role'] == 'user' %}{{ '<|user|>' + '\n' +
message['content'] + '<|end|>' + '\n' }}{% elif message['role'] == 'assistant' %}{{ '<|assistant|>'
+ '\n' + message['content'] + '<|end|>' + '\n' }}{% endif %}{% endfor %}{% if add_generation_prompt
%}{{ '<|assistant|>\n' }}{% else %}{{ eos_token }}{% endif %}"""

PHI_4 = """{% for message in messages %}{{ '<|' + message['role'] + '|>' + message['content'] +
'<|end|>' }}{% endfor %}{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}"""

ZEPHYR = """{% for message in messages %}
{% if message['role'] == 'user' %}
{{ '<|user|>\n' + message['content'] + eos_token }}
{% elif message['role'] == 'system' %}
{{ '<|system|>\n' + message['content'] + eos_token }}
{% endif %}
{% if loop.last and add_generation_prompt %}
{{ '<|assistant|>' }}
{% endif %}
{% endfor %}"""

VICUNA = """{% set ns = namespace(text='A person asks, a machine answers.') %}
{%- if messages[0].role == 'system' -%}{% set ns.text = messages[0].content %}{%- endif -%}
{{ ns.text }}{% for message in messages %}
{%- if message.role == 'user' %} USER: {{ message.content }}
{%- elif message.role == 'assistant' %} ASSISTANT: {{ message.content }}</s>{% endif %}
{%- endfor %}{% if add_generation_prompt %} ASSISTANT:{% endif %}"""

FALCON = """{% for message in messages %}{% if not loop.first %}{{ '\n' }}{% endif %}
{{ message.role | capitalize }}: {{ message.content.strip().replace('\r\n', '\n')
.replace('\n\n', '\n') }}{% endfor %}
{%- if add_generation_prompt %}{{ '\n\nAssistant:' }}{% endif %}"""

ALPACA = """{{ 'Below is a task.\n\n' }}{% for message in messages %}{% if message.role == 'user' %}
### Instruction:
{{ message.content }}
{% else %}
### Response:
{{ message.content }}{{ eos_token }}
{% endif %}{% endfor %}

{% if add_generation_prompt %}
### Response:
{% endif %}"""

DEEPSEEK = """{% if not thinking is defined %}{% set thinking = false %}{% endif %}
{%- macro said(message) -%}{{ '<|user|>' + message.content if message.role == 'user' else
'<|assistant|>' + message.content + eos_token }}{%- endmacro -%}
{{ bos_token }}{% for message in messages %}{{ said(message) }}{% endfor %}
{%- if add_generation_prompt %}{{ '<|assistant|>' + ('<think>\n' if thinking else '') }}
{%- endif %}"""

QWEN_3 = """{%- set ns = namespace(last=messages | length - 1) %}
{%- for message in messages[::-1] %}
    {%- if message.role == "user" %}{%- set ns.last = messages | length - loop.index %}
        {%- break %}
    {%- endif %}
{%- endfor %}
{%- for message in messages %}
    {%- if loop.index0 > ns.last and message.role == "user" %}{%- continue %}{%- endif %}
    {{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>' + '\\n' }}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\\n' }}
    {%- if enable_thinking is defined and enable_thinking is false %}
        {{- '<think>\\n\\n</think>\\n\\n' }}
    {%- endif %}
{%- endif %}"""

GENERATION = """{% for message in messages %}
{%- if message.role == 'assistant' -%}
<|assistant|>{% generation %}{{ message.content }}{{ eos_token }}{% endgeneration %}
{%- else -%}
<|user|>{{ message.content }}
{%- endif -%}
{% endfor %}{% if add_generation_prompt %}<|assistant|>
{%- generation %}{% endgeneration %}{% endif %}"""

GRANITE = """{%- set loops = namespace(stop=false) -%}
<|header|>system<|/header|>Knowledge ends in April. Today's Date: {{ strftime_now('%B %d, %Y') }}.
{% for message in messages -%}
{%- if loop.index > 3 -%}{% break %}{%- endif -%}
<|header|>{{ message['role'] }}<|/header|>{{ message['content'] }}</s>
{% endfor -%}
{%- if documents %}{{ documents | length }}{% endif -%}
{%- if add_generation_prompt -%}<|header|>assistant<|/header|>{%- endif -%}"""

OLMO = """{{ eos_token }}{% for message in messages %}{% if message['role'] == 'user' %}{{
'<|user|>\n' + message['content'] + '\n' }}{% elif message['role'] == 'assistant' %}{{
'<|assistant|>\n' + message['content'] + eos_token + '\n' }}{% endif %}
{%- if loop.last and add_generation_prompt %}{{ '<|assistant|>\n' }}{% endif %}{% endfor %}"""

GLM = """{{ '[gMASK]<sop>' }}{%- for m in messages %}
{%- set text = m.content if m.content is string else m.content | map(attribute='text') | join -%}
{{ '<|' ~ m.role ~ '|>\\n' ~ text }}
{%- endfor %}{{ '<|assistant|>\\n' if add_generation_prompt else '' }}"""

PARTS = """{{ bos_token }}{% for message in messages %}{{ message.role | upper }}: {% if
message.content is string %}{{ message.content }}{% else %}{% for part in message.content %}{{
part.text if part.type == 'text' else '<image>' }}{% endfor %}{% endif %}{{ eos_token }}{% endfor %}
{% if add_generation_prompt %}ASSISTANT:{% endif %}"""

JSON = """{{ bos_token }}{{ messages | tojson(indent=1) }}{% for message in messages %}
{{ message | tojson }}{{ {'<a>': message.content, 'é': 1} | tojson(ensure_ascii=true) }}
{%- endfor %}
{{ {'role': 'assistant'} | tojson(separators=(',', ':'), sort_keys=true) }}"""

HARMONY = """{%- macro date() -%}{{ strftime_now("%Y-%m-%d") }}{%- endmacro -%}
{{- "<|header|>system<|/header|>Knowledge: 2024-06\\nCurrent date: " + date() }}
{%- set effort = reasoning_effort | default("medium") %}
{{- "\\n\\nReasoning: " + effort + "<|end|>" }}
{%- for message in messages -%}
    {{- "<|header|>" + message.role + "<|/header|>" + message.content + "<|end|>" }}
{%- endfor -%}
{%- if add_generation_prompt -%}<|header|>assistant{%- endif -%}"""

COMMAND = """{{ bos_token }}{% for message in messages %}{% set role = {'user': '<|user|>',
'system': '<|system|>', 'assistant': '<|assistant|>'}[message['role']] %}{{ role +
message['content'].strip() + '<|end|>' }}{% endfor %}
{%- if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}"""

FORMS = {
    "chatml": CHATML,
    "llama 2": LLAMA_2,
    "llama 3": LLAMA_3,
    "mistral": MISTRAL,
    "gemma": GEMMA,
    "phi 3": PHI_3,
    "phi 4": PHI_4,
    "zephyr": ZEPHYR,
    "vicuna": VICUNA,
    "falcon": FALCON,
    "alpaca": ALPACA,
    "deepseek": DEEPSEEK,
    "qwen 3": QWEN_3,
    "generation": GENERATION,
    "granite": GRANITE,
    "olmo": OLMO,
    "glm": GLM,
    "parts": PARTS,
    "json": JSON,
    "harmony": HARMONY,
    "command": COMMAND,
}
# What the templates write as tokens of their own.
TOKENS = ["<|im_start|>", "<|im_end|>", "<|header|>", "<|/header|>", "<|turn|>", "<|/turn|>"]
TOKENS += ["<|user|>", "<|assistant|>", "<|system|>", "<|end|>", "[gMASK]", "<sop>"]
