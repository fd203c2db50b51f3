"""Other words for what catalogues call their categories and values, in five languages.

A group helps only where a catalogue has one of its words: then all of them mean that entry.
"""

from __future__ import annotations

GROUPS = (
    "horror, scary, frightening, creepy, spooky, horror film, gruselig, grusel, gruselfilm, "
    "horreur, epouvante, terror, miedo, 恐怖, 恐怖片",
    "comedy, funny, comic, humour, humor, hilarious, laugh, komodie, komodien, lustig, lustiges, "
    "comedie, drole, marrant, comedia, comedias, divertida, divertido, 喜剧, 喜剧片, 搞笑",
    "romance, romantic, love story, liebesfilm, romantisch, romantique, romantica, romantico, "
    "爱情, 爱情片",
    "science fiction, sci fi, scifi, sf, science fiction film, ciencia ficcion, 科幻, 科幻片",
    "thriller, suspense, spannung, suspenso, 惊悚, 惊悚片",
    "crime, gangster, mafia, detective, krimi, krimis, policier, polar, policiaca, crimen, 犯罪, "
    "犯罪片",
    "drama, dramatic, dramen, drame, dramatique, dramatica, 剧情, 剧情片",
    "action, actionfilm, accion, 动作, 动作片",
    "adventure, abenteuer, aventure, aventura, 冒险",
    "animation, animated, cartoon, anime, zeichentrick, zeichentrickfilm, trickfilm, animiert, "
    "dessin anime, animacion, dibujos animados, 动画, 动画片",
    "family, child, children, kid, kinder, kinderfilm, familie, familienfilm, famille, enfant, "
    "familia, nino, 家庭, 儿童, 孩子",
    "documentary, docu, doc, dokumentarfilm, doku, dokumentation, documentaire, documental, 纪录片",
    "western, cowboy, 西部, 西部片",
    "war, kriegsfilm, krieg, guerre, guerra, belica, 战争, 战争片",
    "fantasy, magical, fantastique, fantasia, 奇幻, 奇幻片",
    "musical, 音乐剧",
    "mystery, mysterie, mystere, misterio, 悬疑",
    "history, historical, historisch, historique, historia, 历史",
    "shoe, footwear, schuh, schuhe, chaussure, zapato, 鞋, 鞋子",
    "jacket, coat, jacke, jacken, mantel, veste, manteau, chaqueta, abrigo, 夹克, 外套",
    "headphone, earphone, headset, kopfhorer, casque, ecouteur, auricular, auriculare, 耳机",
    "laptop, notebook, computer, portatil, ordinateur, 笔记本电脑, 电脑",
    "kitchen, cookware, kuche, kuchen, cuisine, cocina, 厨房",
    "backpack, rucksack, rucksacke, sac a do, mochila, 背包",
    "lamp, light fixture, lampe, lampen, lampara, 灯, 台灯",
    "toy, child, children, kid, spielzeug, jouet, juguete, 玩具",
    "book, buch, bucher, livre, libro, 书",
    "game, spiel, spiele, jeu, jeux, juego, 游戏",
    "politic, political, politik, politique, politica, 政治",
    "sport, athletic, deporte, 体育",
    "science, scientific, wissenschaft, ciencia, 科学",
    "technology, tech, technik, technologie, tecnologia, 科技, 技术",
    "economy, economic, business, finance, wirtschaft, economie, economia, 经济, 财经",
    "culture, cultural, kultur, cultura, 文化",
    "health, medicine, medical, gesundheit, sante, salud, 健康",
    "weather, forecast, wetter, meteo, clima, 天气",
    "music, musik, musique, musica, 音乐",
    "travel, reise, reisen, voyage, viaje, 旅行",
    "red, rot, rote, roter, rotes, roten, rouge, rojo, roja, 红, 红色",
    "blue, blau, blaue, blauer, blaues, blauen, bleu, bleue, azul, azule, 蓝, 蓝色",
    "green, grun, grune, gruner, grunes, grunen, vert, verte, verde, 绿, 绿色",
    "black, schwarz, schwarze, schwarzer, schwarzes, schwarzen, noir, noire, negro, negra, 黑, "
    "黑色",
    "white, weiss, weisse, weisser, weisses, weissen, blanc, blanche, blanco, blanca, 白, 白色",
    "yellow, gelb, gelbe, gelber, gelbes, gelben, jaune, amarillo, amarilla, 黄, 黄色",
    "grey, gray, grau, graue, grauer, graues, grauen, gris, grise, 灰, 灰色",
    "brown, braun, braune, brauner, braunes, braunen, marron, brun, 棕色",
    "leather, leder, cuir, cuero, 皮, 皮革",
    "wood, wooden, holz, bois, madera, 木, 木头",
    "wool, woollen, woolen, wolle, laine, lana, 羊毛",
    "plastic, plastik, plastique, plastico, 塑料",
    "cotton, baumwolle, coton, algodon, 棉",
    "metal, metall, 金属",
    "steel, stahl, acier, acero, 钢",
    "english, englisch, englische, englischer, anglais, anglaise, ingle, inglesa, 英语, 英文",
    "french, franzosisch, franzosische, franzosischer, francais, francaise, france, frances, "
    "francesa, 法语, 法国",
    "german, deutsch, deutsche, deutscher, allemand, allemande, aleman, alemana, germany, 德语, "
    "德国",
    "spanish, spanisch, spanische, spanischer, espagnol, espagnole, espanol, espanola, spain, "
    "西班牙语, 西班牙",
    "italian, italienisch, italienische, italienischer, italien, italienne, italiano, italiana, "
    "italy, 意大利",
    "japanese, japanisch, japanische, japanischer, japonais, japonaise, japone, japonesa, japan, "
    "日语, 日本",
    "korean, koreanisch, koreanische, koreanischer, coreen, coreenne, coreano, coreana, korea, "
    "韩语, 韩国",
    "russian, russisch, russische, russischer, russe, ruso, rusa, russia, 俄语, 俄罗斯",
    "chinese, chinesisch, chinesische, chinesischer, chinois, chinoise, chino, china, 中文, "
    "汉语, 中国",
    "europe, european, europa, europaisch, europeen, europeenne, europeo, europea, 欧洲",
    "asia, asian, asien, asiatisch, asie, asiatique, asiatico, asiatica, 亚洲",
    "africa, african, afrika, afrikanisch, afrique, africain, africaine, africano, africana, 非洲",
    "america, american, amerika, amerikanisch, amerique, americain, americaine, americano, 美国",
    "local, regional, nearby, lokal, locale, 本地",
    "world, international, global, welt, monde, mundo, 世界, 国际",
)
"""Each line one meaning; words as ``spoken`` compares them, without accents."""

COMPOUNDS = {
    "romcom": ("romance", "comedy"),
    "rom com": ("romance", "comedy"),
    "dramedy": ("drama", "comedy"),
    "docudrama": ("documentary", "drama"),
}
"""One word for two."""
